"""A mixture of experts: feed-forward networks of which each position uses a few."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from lmkernel.config.check import one_of, positive, require

__all__ = ["ExpertsConfig"]


@final
@dataclass(frozen=True, kw_only=True)
class ExpertsConfig:
    """How positions choose experts, and what the choice counts (arXiv:1701.06538, §2).

    Args:
        count: number of experts.
        chosen: number of experts that each position uses.
        hidden: intermediate size of each expert.
        scoring: ``"softmax"`` or ``"sigmoid"`` of the router's logits, over all experts.
        renormalize: whether the chosen scores are divided by their sum.
        scale: factor of the chosen scores, after that.
        choice_bias: whether a bias for each expert is added for the choice alone
            (arXiv:2408.15664, §3).
        groups: number of equal groups of experts; only those of the best groups may be chosen.
        chosen_groups: number of groups that each position may choose from.
        group_score: ``"max"``, a group is as good as its best expert (arXiv:2405.04434, §2.2.2),
            or ``"top_two"``, as its two best together (arXiv:2412.19437, §2.1.2).
        shared: intermediate size of an expert that every position uses besides; 0 for none.
        shared_gate: whether the shared expert is weighted by a sigmoid of its own.
        router_bias: whether the router has a bias.
        balance: weight of the loss that makes training use the experts alike
            (arXiv:2101.03961, §2.2), beside the mean loss; 0 for none.
    """

    count: int
    chosen: int
    hidden: int
    scoring: str = "softmax"
    renormalize: bool = True
    scale: float = 1.0
    choice_bias: bool = False
    groups: int = 1
    chosen_groups: int = 1
    group_score: str = "max"
    shared: int = 0
    shared_gate: bool = False
    router_bias: bool = False
    balance: float = 0.0

    def __post_init__(self) -> None:
        positive(self, "count", "chosen", "hidden", "groups", "chosen_groups")
        one_of(self, "scoring", ("softmax", "sigmoid"))
        one_of(self, "group_score", ("max", "top_two"))
        size, rest = divmod(self.count, self.groups)
        require(self, "groups", f"a divisor of count={self.count}", ok=rest == 0)
        few = self.chosen_groups <= self.groups
        require(self, "chosen_groups", f"at most groups={self.groups}", ok=few)
        there = size * self.chosen_groups
        require(self, "chosen", f"at most {there}, those to choose from", ok=self.chosen <= there)
        least = 2 if self.group_score == "top_two" and self.groups > 1 else 1
        require(self, "group_score", "two experts a group", ok=size >= least)
        require(self, "shared", "0 or more", ok=self.shared >= 0)
        require(self, "balance", "0 or more", ok=self.balance >= 0)
        require(self, "shared_gate", "a shared expert", ok=self.shared > 0 or not self.shared_gate)
