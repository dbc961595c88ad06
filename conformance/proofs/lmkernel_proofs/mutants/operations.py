"""Broken norms, activations, losses, cells and linear maps."""

from __future__ import annotations

from typing import Any

import numpy as np

from lmkernel.composed.precision import constant
from lmkernel_proofs.mutants.mutant import Mutant, optional

__all__ = ["MUTANTS"]


def _affine(y: Any, weight: Any, bias: Any) -> Any:
    return y * weight if bias is None else y * weight + bias


def _deviations(ops: Any, x: Any) -> tuple[Any, Any]:
    deviations = x - ops.mean(x, -1, keepdims=True)
    return deviations, ops.mean(deviations * deviations, -1, keepdims=True)


def layer_eps_outside(ops: Any, x: Any, weight: Any, bias: Any, eps: float) -> Any:
    """The root is taken before ε is added: (x - mean) / (√var + ε)."""
    centred, variance = _deviations(ops, x)
    return _affine(centred / (ops.sqrt(variance) + constant(ops, eps, x)), weight, bias)


def rms_eps_outside(ops: Any, x: Any, weight: Any, eps: float) -> Any:
    """The root is taken before ε is added: x / (√mean(x²) + ε)."""
    root = ops.sqrt(ops.mean(x * x, -1, keepdims=True))
    return x / (root + constant(ops, eps, x)) * weight


def layer_bessel(ops: Any, x: Any, weight: Any, bias: Any, eps: float) -> Any:
    """The variance divides by n - 1 (Bessel's correction)."""
    centred, variance = _deviations(ops, x)
    n = x.shape[-1]
    unbiased = variance * constant(ops, n / (n - 1), x)
    return _affine(centred / ops.sqrt(unbiased + constant(ops, eps, x)), weight, bias)


def layer_one_pass(ops: Any, x: Any, weight: Any, bias: Any, eps: float) -> Any:
    """The variance is mean(x²) - mean(x)², which cancels."""
    mean = ops.mean(x, -1, keepdims=True)
    variance = ops.mean(x * x, -1, keepdims=True) - mean * mean
    variance = ops.maximum(variance, constant(ops, 0.0, x))
    return _affine((x - mean) / ops.sqrt(variance + constant(ops, eps, x)), weight, bias)


def layer_default_eps(ops: Any, x: Any, weight: Any, bias: Any, eps: float) -> Any:
    """ε is 1e-5, whatever the caller asks for."""
    del eps
    return ops.layer_norm(x, weight, bias, 1e-5)


def rms_default_eps(ops: Any, x: Any, weight: Any, eps: float) -> Any:
    """ε is 1e-6, whatever the caller asks for."""
    del eps
    return ops.rms_norm(x, weight, 1e-6)


def rms_one_plus(ops: Any, x: Any, weight: Any, eps: float) -> Any:
    """The factor is 1 + w instead of w."""
    return ops.rms_norm(x, weight + constant(ops, 1.0, weight), eps)


def gelu_by_tanh(ops: Any, x: Any) -> Any:
    """The tanh approximation replaces the exact function."""
    return ops.gelu_tanh(x)


def gelu_by_erf(ops: Any, x: Any) -> Any:
    """The exact function replaces the tanh approximation."""
    return ops.gelu(x)


def softmax_naive(ops: Any, x: Any, axis: int = -1) -> Any:
    """The maximum is subtracted along the last axis only."""
    if axis in (-1, len(x.shape) - 1):
        return ops.softmax(x, axis)
    with np.errstate(over="ignore", invalid="ignore"):
        powers = ops.exp(x)
        return powers / ops.sum(powers, axis, keepdims=True)


def log_softmax_naive(ops: Any, x: Any, axis: int = -1) -> Any:
    """The logarithm is taken of the softmax, which may be zero."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return ops.log(ops.softmax(x, axis))


def swiglu_other_half(ops: Any, x: Any) -> Any:
    """The second half gates the first."""
    half = x.shape[-1] // 2
    return ops.silu(x[..., half:]) * x[..., :half]


def relu_half(ops: Any, x: Any) -> Any:
    """The gradient at 0 is ½."""
    zero, right = constant(ops, 0.0, x), ops.relu(x)
    there = ops.where(zero >= x, x * constant(ops, 0.5, x), right)
    return ops.where(x >= zero, there, right)


def smooth_ignored_targets(ops: Any, logits: Any, targets: Any, smoothing: float = 0.0) -> Any:
    """An ignored target still pays for smoothing."""
    right = ops.cross_entropy(logits, targets, smoothing)
    spread = ops.mean(ops.log_softmax(logits, -1), -1) * constant(ops, -smoothing, logits)
    return ops.where(targets >= ops.full((), 0, "int32"), right, spread)


def ignored_is_last(ops: Any, logits: Any, targets: Any, smoothing: float = 0.0) -> Any:
    """Only -100 is ignored; -1 counts as class 0."""
    changed = ops.where(targets == ops.full((), -1, "int32"), ops.full((), 0, "int32"), targets)
    return ops.cross_entropy(logits, changed, smoothing)


def smoothing_elsewhere(ops: Any, logits: Any, targets: Any, smoothing: float = 0.0) -> Any:
    """The smoothed mass goes to the other classes only."""
    n = logits.shape[-1]
    return ops.cross_entropy(logits, targets, smoothing * n / (n - 1))


def gru_update_first(ops: Any, x: Any, h: Any, weight: Any, bias: Any) -> Any:
    """The weights are read with the update gate before the reset gate."""
    n = h.shape[-1]
    order = ops.asarray(np.r_[n : 2 * n, 0:n, 2 * n : 3 * n], "int32")
    moved = None if bias is None else ops.take(bias, order, 0)
    return ops.gru_cell(ops.take(x, order, 1), h, ops.take(weight, order, 0), moved)


def gru_reset_first(ops: Any, x: Any, h: Any, weight: Any, bias: Any) -> Any:
    """The reset gate multiplies the state before the product."""
    n = h.shape[-1]
    s = ops.linear(h, weight, bias)
    reset = ops.sigmoid(x[:, :n] + s[:, :n])
    update = ops.sigmoid(x[:, n : 2 * n] + s[:, n : 2 * n])
    last = None if bias is None else bias[2 * n :]
    new = ops.tanh(x[:, 2 * n :] + ops.linear(reset * h, weight[2 * n :], last))
    return (constant(ops, 1.0, h) - update) * new + update * h


def gru_update_inverse(ops: Any, x: Any, h: Any, weight: Any, bias: Any) -> Any:
    """The update gate weighs the candidate: z·n + (1 - z)·h."""
    right, n = ops.gru_cell(x, h, weight, bias), h.shape[-1]
    s = ops.linear(h, weight, bias)
    reset = ops.sigmoid(x[:, :n] + s[:, :n])
    new = ops.tanh(x[:, 2 * n :] + reset * s[:, 2 * n :])
    return new + h - right


def lstm_forget_first(ops: Any, x: Any, h: Any, c: Any, weight: Any, bias: Any) -> Any:
    """The weights are read with the forget gate before the input gate."""
    n = h.shape[-1]
    order = ops.asarray(np.r_[n : 2 * n, 0:n, 2 * n : 4 * n], "int32")
    moved = None if bias is None else ops.take(bias, order, 0)
    return ops.lstm_cell(ops.take(x, order, 1), h, c, ops.take(weight, order, 0), moved)


def lstm_output_first(ops: Any, x: Any, h: Any, c: Any, weight: Any, bias: Any) -> Any:
    """The weights are read with the output gate before the candidate."""
    n = h.shape[-1]
    order = ops.asarray(np.r_[0 : 2 * n, 3 * n : 4 * n, 2 * n : 3 * n], "int32")
    moved = None if bias is None else ops.take(bias, order, 0)
    return ops.lstm_cell(ops.take(x, order, 1), h, c, ops.take(weight, order, 0), moved)


def lstm_unit_forget(ops: Any, x: Any, h: Any, c: Any, weight: Any, bias: Any) -> Any:
    """One is added to the forget gate's bias."""
    n = h.shape[-1]
    unit = ops.asarray(np.r_[np.zeros(n), np.ones(n), np.zeros(2 * n)], ops.dtype(x))
    return ops.lstm_cell(x + unit, h, c, weight, bias)


def linear_in_out(ops: Any, x: Any, weight: Any, bias: Any = None, delta: Any = None) -> Any:
    """A square weight is taken as (in, out)."""
    if weight.shape[0] == weight.shape[1]:
        weight = ops.permute_dims(weight, (1, 0))
    return ops.linear(x, weight, bias, delta)


def linear_no_delta(ops: Any, x: Any, weight: Any, bias: Any = None, delta: Any = None) -> Any:
    """The LoRA adapter is forgotten."""
    del delta
    return ops.linear(x, weight, bias)


def pack_lossy(ops: Any, weight: Any) -> Any:
    """A packed weight keeps 16 bits."""
    return ops.astype(ops.astype(weight, "float16"), ops.dtype(weight))


def dropout_without_scale(ops: Any, x: Any, key: Any, rate: float) -> Any:
    """Elements that stay are not divided by 1 - rate."""
    return ops.dropout(x, key, rate) * constant(ops, 1 - rate, x)


def one_hot_wraps(ops: Any, indices: Any, size: int, dtype: Any) -> Any:
    """A negative index counts from the end."""
    wrapped = ops.where(
        indices < ops.full((), 0, "int32"), indices + ops.full((), size, "int32"), indices
    )
    return ops.one_hot(wrapped, size, dtype)


def mse_sum(ops: Any, prediction: Any, target: Any) -> Any:
    """The last axis is summed instead of averaged."""
    return ops.mse(prediction, target) * constant(ops, float(prediction.shape[-1]), prediction)


def silu_hard(ops: Any, x: Any) -> Any:
    """The sigmoid's argument is multiplied by 1.702, which approximates GELU."""
    return x * ops.sigmoid(x * constant(ops, 1.702, x))


def mean_with_guard(ops: Any, x: Any, axis: int, *, keepdims: bool = False) -> Any:
    """The sum is divided by n + 1e-5, as a guard against zero."""
    n = x.shape[axis]
    return ops.mean(x, axis, keepdims=keepdims) * constant(ops, n / (n + 1e-5), x)


def _of(op: str, name: str, broken: Any, row: int = 0, seen: str = "", **more: Any) -> Mutant:
    level = more.get("level", "operations")
    return Mutant(
        id=f"{op}.{name}",
        level=level,
        make=optional(op, broken),
        row=row,
        seen=seen,
        higher=more.get("higher", ""),
    )


_EXAMPLES = "the tutorial's examples are whole formulas, which see it too; its own cases name it"


MUTANTS = (
    _of("layer_norm", "eps_outside", layer_eps_outside, 12, "burn#2185"),
    _of("rms_norm", "eps_outside", rms_eps_outside, 12, "burn#2185"),
    _of("layer_norm", "unbiased", layer_bessel, 13, "lbann#2024"),
    _of("layer_norm", "default_eps", layer_default_eps, 14, "keras-hub#642"),
    _of("rms_norm", "default_eps", rms_default_eps, 14, "keras-hub#642"),
    _of("layer_norm", "one_pass", layer_one_pass, 15, "burn#5607, flax#1491"),
    _of("rms_norm", "one_plus_weight", rms_one_plus, 16, "Liger-Kernel#74"),
    _of("gelu", "by_tanh", gelu_by_tanh, 17, "Megatron-Bridge#4661"),
    _of("gelu_tanh", "by_erf", gelu_by_erf, 17),
    _of("softmax", "no_maximum", softmax_naive, 18, "pytorch#63132"),
    _of("log_softmax", "log_of_softmax", log_softmax_naive, 18),
    _of("swiglu", "swapped", swiglu_other_half),
    _of("relu", "half_at_zero", relu_half, level="gradients"),
    _of("cross_entropy", "smooths_ignored", smooth_ignored_targets, 19, "pytorch#73205"),
    _of("cross_entropy", "ignores_one_mark", ignored_is_last, 19),
    _of("cross_entropy", "smooths_elsewhere", smoothing_elsewhere, 19),
    _of("gru_cell", "gates_swapped", gru_update_first, 27, "keras#8720"),
    _of("gru_cell", "reset_first", gru_reset_first, 27),
    _of("gru_cell", "update_inverted", gru_update_inverse, 27),
    _of("lstm_cell", "gates_swapped", lstm_forget_first, 27, "keras#8720"),
    _of("lstm_cell", "output_first", lstm_output_first, 27, "keras#8720"),
    _of("lstm_cell", "unit_forget_bias", lstm_unit_forget, 27),
    _of("linear", "transposed", linear_in_out, higher=_EXAMPLES),
    _of("linear", "no_delta", linear_no_delta),
    _of("pack_linear", "lossy", pack_lossy),
    _of("dropout", "unscaled", dropout_without_scale),
    _of("one_hot", "wraps", one_hot_wraps),
    _of("mse", "summed", mse_sum, higher=_EXAMPLES),
    _of("silu", "sharper", silu_hard),
    _of("mean", "guarded", mean_with_guard, higher=_EXAMPLES),
)
