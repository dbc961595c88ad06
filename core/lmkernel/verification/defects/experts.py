"""Defects of a mixture of experts: who is chosen, and what the choice counts."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from lmkernel.config import ExpertsConfig
from lmkernel.verification.defects.common import Candidate, rewritten, zeroed
from lmkernel.verification.one_run import Variant
from lmkernel.verification.structure import change_every, top_transformer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lmkernel.config import ModelConfig

__all__ = ["expert_defects"]


def expert_defects(config: ModelConfig) -> Iterator[Candidate]:
    """Those of the first layer that has experts, put into every layer."""
    _, stack = top_transformer(config)
    mixtures = (stack.layer(i).mlp.experts for i in range(stack.layers))
    own = next((one for one in mixtures if one is not None), None)
    if own is None:
        return
    for name, words, change in _changes(own):
        yield Candidate(f"experts.{name}", words, _with(config, change))
    if own.shared:
        zero = Variant(change=zeroed("shared.down.weight", "shared.down.bias"))
        yield Candidate("experts.shared", "the shared expert were left out", zero)
    if own.router_bias:
        zero = Variant(change=zeroed("router.bias"))
        yield Candidate("experts.router_bias", "the router's bias were left out", zero)
    words = "experts stood in reversed order"
    turned = Variant(change=rewritten(lambda x: np.flip(x, 0), "router.weight", "router.bias"))
    yield Candidate("experts.order", words, turned)


def _changes(own: ExpertsConfig) -> list[tuple[str, str, dict[str, Any]]]:
    """The name of each defect of the configuration, its words, and the fields that are others."""
    kept = "were not divided by their sum" if own.renormalize else "were divided by their sum"
    made: list[tuple[str, str, dict[str, Any]]] = [
        ("renormalize", f"the chosen experts' weights {kept}", {"renormalize": not own.renormalize})
    ]
    other = "sigmoid" if own.scoring == "softmax" else "softmax"
    words = f"experts were scored by a {other} for a {own.scoring}"
    made.append(("scoring", words, {"scoring": other}))
    for chosen in (1, 2, own.chosen - 1, own.chosen + 1, own.count):
        if 0 < chosen <= own.count and chosen != own.chosen:
            words = f"{chosen} experts were chosen instead of {own.chosen}"
            made.append(("chosen", words, {"chosen": chosen}))
    if own.scale != 1:
        made.append(("scale", "the factor of the experts' weights were missing", {"scale": 1.0}))
    if own.choice_bias:
        words = "the biases of the choice of experts were ignored"
        made.append(("choice_bias", words, {"choice_bias": False}))
    if own.groups > 1:
        words = "experts were chosen of all groups"
        made.append(("groups", words, {"groups": 1, "chosen_groups": 1}))
        score = "top_two" if own.group_score == "max" else "max"
        words = (
            f"groups of experts were as good as their {'two best' if score != 'max' else 'best'}"
        )
        made.append(("group_score", words, {"group_score": score}))
    if own.shared_gate:
        words = "the shared expert had no gate"
        made.append(("shared_gate", words, {"shared_gate": False}))
    return made


def _with(config: ModelConfig, change: dict[str, Any]) -> Variant:
    """Every mixture with other fields, as far as it allows them."""

    def changed(own: ExpertsConfig) -> ExpertsConfig:
        most = own.count // own.groups * own.chosen_groups
        fits = {**change, "chosen": min(change.get("chosen", own.chosen), most)}
        return replace(own, **fits)

    return Variant(config=change_every(config, ExpertsConfig, changed))
