"""The angles of RoPE: every scaling, and positions near and far."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lmkernel.config import EmbeddingConfig, RotaryConfig
from lmkernel_conformance.cases.trial import Trial, trial
from lmkernel_conformance.inputs import normal
from lmkernel_conformance.oracle import positions

if TYPE_CHECKING:
    from lmkernel_conformance.subject import Subject

Host = Any


def _rotation(rotary: RotaryConfig, where: Host) -> Trial:
    config = EmbeddingConfig(width=2, vocab=2, positions="rotary", rotary=rotary)

    def native(s: Subject, t: dict[str, Any]) -> list[Any]:
        component = s.factory.create("embedding", config)
        params = {"tokens": {"weight": t["table"]}}
        return list(component(params, s.array(np.zeros_like(where)), s.array(where)).rotation)

    return Trial(
        inputs={"table": normal("rotation.table", 2, 2)},
        native=native,
        formula=lambda ar, _: list(positions.rotation(ar, where, rotary)),
    )


_FAR = np.array([[0, 1, 2, 3, 17, 101], [-1, -1, 0, 1, 1023, 4097]])


@trial(id="rotary.theta", level="components", rows=(9, 10), gradients=False)
def rotary_theta() -> Trial:
    """RoPE with a theta of 5e5, at large positions."""
    return _rotation(RotaryConfig(dim=12, theta=5e5), _FAR)


@trial(id="rotary.linear", level="components", rows=(10,), gradients=False)
def rotary_linear() -> Trial:
    """RoPE with linear scaling: positions are divided by a factor."""
    return _rotation(RotaryConfig(dim=12, scaling="linear", factor=4.0), _FAR)


@trial(id="rotary.llama3", level="components", rows=(10,), gradients=False)
def rotary_llama3() -> Trial:
    """RoPE with Llama 3's scaling: wavelengths below, on and above the ramp."""
    config = RotaryConfig(
        dim=16,
        theta=5e5,
        scaling="llama3",
        factor=8.0,
        low_freq_factor=1.0,
        high_freq_factor=4.0,
        original_context=512,
    )
    return _rotation(config, _FAR)


@trial(id="rotary.yarn", level="components", rows=(10,), gradients=False)
def rotary_yarn() -> Trial:
    """YaRN: frequencies kept, mixed and stretched, and a factor of cosines and sines."""
    config = RotaryConfig(
        dim=16,
        theta=5e3,
        scaling="yarn",
        factor=8.0,
        original_context=256,
        beta_fast=16.0,
        beta_slow=2.0,
        attention_factor=1.25,
    )
    return _rotation(config, _FAR)


@trial(id="rotary.yarn.exact", level="components", rows=(10,), gradients=False)
def rotary_yarn_exact_ends() -> Trial:
    """YaRN whose ramp ends between two frequencies, at both ends of them all."""
    config = RotaryConfig(
        dim=12,
        theta=20.0,
        scaling="yarn",
        factor=3.0,
        original_context=32,
        beta_fast=8.0,
        beta_slow=0.125,
        truncate=False,
    )
    return _rotation(config, _FAR)


@trial(id="rotary.yarn.low_theta", level="components", rows=(10,), gradients=False)
def rotary_yarn_low_theta() -> Trial:
    """YaRN whose ramp begins between frequencies and would end behind the last; two are zero."""
    config = RotaryConfig(
        dim=12,
        theta=3.0,
        still=2,
        scaling="yarn",
        factor=3.0,
        original_context=32,
        beta_fast=3.5,
        beta_slow=0.125,
    )
    return _rotation(config, _FAR)


@trial(id="rotary.yarn.no_ramp", level="components", rows=(10,), gradients=False)
def rotary_yarn_no_ramp() -> Trial:
    """YaRN whose ramp begins and ends at the first frequency, which alone is kept."""
    config = RotaryConfig(
        dim=12,
        theta=20.0,
        scaling="yarn",
        factor=3.0,
        original_context=32,
        beta_fast=8.0,
        beta_slow=5.2,
    )
    return _rotation(config, _FAR)


@trial(id="rotary.longrope", level="components", rows=(10,), gradients=False)
def rotary_longrope() -> Trial:
    """LongRoPE: a row up to the original context, and one that goes beyond it by one position."""
    config = RotaryConfig(
        dim=6,
        scaling="longrope",
        short_factors=(1.0, 1.25, 1.5),
        long_factors=(2.0, 3.0, 5.0),
        original_context=102,
        attention_factor=1.125,
    )
    return _rotation(config, np.array([[0, 1, 2, 101], [-1, 0, 1, 102]]))


@trial(id="rotary.longrope.still", level="components", rows=(10,), gradients=False)
def rotary_longrope_still() -> Trial:
    """LongRoPE of frequencies of which the last is zero, and has no divisor."""
    config = RotaryConfig(
        dim=8,
        still=1,
        scaling="longrope",
        short_factors=(1.0, 1.25, 1.5, 1.75),
        long_factors=(2.0, 3.0, 5.0, 7.0),
        original_context=102,
    )
    return _rotation(config, np.array([[0, 1, 2, 101], [-1, 0, 1, 102]]))


@trial(id="rotary.dynamic", level="components", rows=(10,), gradients=False)
def rotary_dynamic() -> Trial:
    """Dynamic NTK: rows below, at, and far beyond the original context."""
    config = RotaryConfig(dim=10, scaling="dynamic", factor=4.0, original_context=64)
    return _rotation(config, np.array([[0, 1, 63], [-1, 2, 64], [3, 90, 511]]))


@trial(id="rotary.still", level="components", rows=(10,), gradients=False)
def rotary_still() -> Trial:
    """Frequencies that are zero: what they would turn stays."""
    return _rotation(RotaryConfig(dim=10, theta=50.0, still=2), _FAR)


@trial(id="rotary.digits", level="components", rows=(10,), gradients=False)
def rotary_digits() -> Trial:
    """Positions around powers of two, where kernels that split a position go wrong."""
    where = np.array([[255, 256, 257, 511, 512], [4095, 4096, 32767, 32768, 65535]])
    return _rotation(RotaryConfig(dim=6, theta=1e7), where)


@trial(id="rotary.millions", level="components", rows=(10,), gradients=False)
def rotary_millions() -> Trial:
    """The longest contexts, by frequencies that are slow enough to be told in float32."""
    where = np.array([[65536, 131071, 131072], [262144, 1048575, 9999999]])
    return _rotation(RotaryConfig(dim=6, theta=1e12, scaling="linear", factor=1e6), where)


@trial(id="rotary.dynamic.factor_one", level="components", rows=(10,), gradients=False)
def rotary_dynamic_factor_one() -> Trial:
    """A factor of one still lets theta grow with the row."""
    config = RotaryConfig(dim=12, scaling="dynamic", factor=1.0, original_context=8)
    return _rotation(config, np.array([[0, 3, 9, 31], [-1, 0, 1, 7]]))


@trial(id="rotary.llama3.ramp", level="components", rows=(10,), gradients=False)
def rotary_llama3_ramp() -> Trial:
    """A ramp that begins at two turns, with frequencies on both sides of it and within."""
    config = RotaryConfig(
        dim=16,
        theta=50.0,
        scaling="llama3",
        factor=8.0,
        low_freq_factor=2.0,
        high_freq_factor=5.0,
        original_context=64,
    )
    return _rotation(config, _FAR)
