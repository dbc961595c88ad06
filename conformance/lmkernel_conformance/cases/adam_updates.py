"""`adam_update` and `global_norm` as operations: sizes, layouts, shared memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lmkernel_conformance.cases.case import case
from lmkernel_conformance.cases.trial import Trial, trial
from lmkernel_conformance.inputs import normal, uniform
from lmkernel_conformance.oracle import optimizers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lmkernel.contract.mandatory import Array
    from lmkernel_conformance.oracle.arithmetic import Arithmetic
    from lmkernel_conformance.subject import Subject

Host = Any

_STEP, _RATE, _SCALE, _BETA1, _BETA2, _EPS = 3, 0.04, 0.37, 0.8, 0.95, 0.02
_SCALARS = {
    "rate": np.asarray(_RATE),
    "grad_scale": np.asarray(_SCALE),
    "step": np.asarray(float(_STEP)),
    "first_scale": np.asarray(1 / (1 - _BETA1**_STEP)),
    "second_scale": np.asarray(1 / (1 - _BETA2**_STEP)),
}
_WIDE = 40009
"""More elements than a kernel's block holds, and a multiple of no power of two."""


def _inputs(purpose: str, shapes: Sequence[tuple[int, ...]]) -> dict[str, Host]:
    found = {}
    for i, shape in enumerate(shapes):
        found[f"p{i}"] = normal(f"{purpose}.p{i}", *shape)
        found[f"g{i}"] = normal(f"{purpose}.g{i}", *shape, scale=2)
        found[f"m{i}"] = normal(f"{purpose}.m{i}", *shape, scale=0.3)
        found[f"v{i}"] = uniform(f"{purpose}.v{i}", *shape, low=0.01, high=1)
    return found


def _adam(inputs: dict[str, Host], decays: Sequence[float], turned: Sequence[str] = ()) -> Trial:
    """A trial of one step; the inputs in ``turned`` are passed as transposed views."""
    count = range(len(decays))

    def native(s: Subject, t: dict[str, Array]) -> list[Array]:
        t = {**t, **{name: s.ops.permute_dims(t[name], (1, 0)) for name in turned}}
        p, g, m, v = ([t[f"{letter}{i}"] for i in count] for letter in "pgmv")
        scalars = {name: t[name] for name in _SCALARS}
        options = {"beta1": _BETA1, "beta2": _BETA2, "eps": _EPS}
        moved, first, second = s.ops.adam_update(p, g, m, v, scalars, **options, decays=decays)
        return [*moved, *first, *second]

    def formula(ar: Arithmetic, t: dict[str, Host]) -> list[Host]:
        t = {**t, **{name: ar.transpose(t[name], (1, 0)) for name in turned}}
        found = [
            optimizers.adam_step(
                ar,
                t[f"p{i}"],
                t[f"g{i}"] * _SCALE,
                t[f"m{i}"],
                t[f"v{i}"],
                step=_STEP,
                rate=_RATE,
                beta1=_BETA1,
                beta2=_BETA2,
                eps=_EPS,
                decay=decay,
            )
            for i, decay in enumerate(decays)
        ]
        return [one[k] for k in range(3) for one in found]

    return Trial(
        inputs=inputs, fixed=_SCALARS, native=native, formula=formula, consumed=tuple(inputs)
    )


@trial(id="adam_update", op="adam_update", level="training", gradients=False)
def adam_update() -> Trial:
    """Small arrays of zero to three axes, each with a weight decay of its own."""
    shapes = [(5,), (3, 4), (), (1,), (2, 3, 4)]
    return _adam(_inputs("adam_update", shapes), [0.0, 0.5, 0.0, 0.5, 0.25])


@trial(id="adam_update.large", op="adam_update", level="training", gradients=False)
def adam_update_large() -> Trial:
    """More elements than any kernel's block, of odd sizes, in one axis and in two."""
    return _adam(_inputs("adam_update.large", [(_WIDE,), (183, 211)]), [0.0, 0.5])


@trial(id="adam_update.layouts", op="adam_update", level="training", gradients=False)
def adam_update_layouts() -> Trial:
    """Gradients and parameters that are transposed views, as matrix products may give them."""
    inputs = _inputs("adam_update.layouts", [(183, 211), (3, 5)])
    turned = ("g0", "p1", "g1")
    across = {name: x.T.copy() if name in turned else x for name, x in inputs.items()}
    return _adam(across, [0.5, 0.0], turned)


@trial(id="adam_update.wide_rows", op="adam_update", level="training", gradients=False)
def adam_update_wide_rows() -> Trial:
    """One parameter alone, whose rows are longer than any block, with a transposed gradient."""
    inputs = _inputs("adam_update.wide", [(2, 3 * _WIDE // 2)])
    across = {name: x.T.copy() if name == "g0" else x for name, x in inputs.items()}
    return _adam(across, [0.5], ("g0",))


@case(level="training", id="adam_update.shared_gradient", training=True)
def shared_gradient(s: Subject) -> None:
    """One array is the gradient of two parameters and partly of a third; none may overwrite it."""
    hosts = _inputs("adam_update.shared", [(4, 3), (4, 3), (2, 3)])
    hosts["g1"], hosts["g2"] = hosts["g0"], hosts["g0"][2:]
    one_step = _adam(hosts, [0.5, 0.5, 0.0])
    arrays = s.arrays({**one_step.inputs, **one_step.fixed})
    arrays["g1"], arrays["g2"] = arrays["g0"], arrays["g0"][2:]
    rounded = s.round(hosts)
    s.agree(
        "value",
        one_step.native(s, arrays),
        lambda ar: one_step.formula(ar, {name: ar.constant(x) for name, x in rounded.items()}),
    )


@trial(id="global_norm", op="global_norm", level="training", gradients=False)
def global_norm() -> Trial:
    """The norm of arrays of zero to three axes together, some large, all different."""
    shapes = [(5,), (183, 211), (), (2, 3, 4), (_WIDE,)]
    inputs = {f"x{i}": normal(f"global_norm.{i}", *x, scale=i + 1) for i, x in enumerate(shapes)}
    return Trial(
        inputs=inputs,
        native=lambda s, t: s.ops.global_norm([t[name] for name in inputs]),
        formula=lambda ar, t: optimizers.norm(ar, [t[name] for name in inputs]),
    )


@case(level="training", id="global_norm.narrow", dtypes=("bfloat16", "float16"), training=True)
def narrow(s: Subject) -> None:
    """The norm of 1,024 ones is 32; bfloat16 cannot count that far, so sums must be float32."""
    s.equal("norm", s.ops.global_norm([s.array(np.ones((2, 512)))]), 32.0, dtype="float32")
