"""Torch as a third witness: its own modules and functions at the same points, in float64.

Constraint: only the functions that call torch import it, so the table can be read without it.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, final

from lmkernel_proofs.witnesses import attentions, models, updates
from lmkernel_proofs.witnesses.activations import CTC_LABELS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from lmkernel_proofs.witnesses.point import Point

__all__ = ["TORCH", "Library", "library_slopes", "library_values"]

Host = Any
Tensors = dict[str, Any]


@final
@dataclass(frozen=True)
class Library:
    """A computation of torch at a point.

    Args:
        name: function or module of torch that is called.
        call: function ``(torch, tensors) -> outputs``, in the order of the point's outputs.
        gradient: whether torch differentiates through all of it.
    """

    name: str
    call: Callable[[Any, Tensors], list[Any]]
    gradient: bool = True


def _tensors(point: Point) -> Tensors:
    import torch

    return {
        name: torch.tensor(x, dtype=torch.float64, requires_grad=True)
        for name, x in point.inputs.items()
    }


def library_values(point: Point) -> list[float]:
    """Torch's outputs."""
    import torch

    outputs = TORCH[point.id].call(torch, _tensors(point))
    return [x for y in outputs for x in y.detach().double().reshape(-1).tolist()]


def library_slopes(point: Point, probes: Any, directions: Any) -> list[float]:
    """Torch's own gradient along each of ``directions``."""
    import torch

    inputs = _tensors(point)
    outputs = TORCH[point.id].call(torch, inputs)
    weights = probes([y.detach().numpy() for y in outputs])
    total = sum((y * torch.tensor(w)).sum() for y, w in zip(outputs, weights, strict=True))
    total.backward()
    return [float((inputs[name].grad * torch.tensor(d)).sum()) for name, d in directions(point)]


def _swiglu(T: Any, t: Tensors) -> list[Any]:
    gate, value = t["x"].chunk(2, -1)
    return [T.nn.functional.silu(gate) * value]


def _cross_entropy(T: Any, t: Tensors) -> list[Any]:
    targets = T.tensor([[2, -100], [0, 4], [-100, 3]])
    f = T.nn.functional.cross_entropy
    wide = t["x"].movedim(-1, 1)
    return [f(wide, targets, reduction="none", label_smoothing=s) for s in (0.0, 0.125)]


def _soft(T: Any, t: Tensors) -> list[Any]:
    f = T.nn.functional.cross_entropy
    return [f(t["x"].movedim(-1, 1), t["y"].movedim(-1, 1), reduction="none")]


def _ctc(T: Any, t: Tensors) -> list[Any]:
    logs = t["x"].log_softmax(-1)[:, None]
    return [
        T.nn.functional.ctc_loss(
            logs,
            T.tensor([labels]),
            T.tensor([4]),
            T.tensor([len(labels)]),
            blank=1,
            reduction="none",
        )
        for labels in CTC_LABELS
    ]


def _linear(T: Any, t: Tensors) -> list[Any]:
    f = T.nn.functional.linear
    return [f(t["x"], t["w"], t["b"]) + f(f(t["x"], t["a"]), t["c"]), f(t["x"], t["w"])]


def _norms(eps: float) -> Callable[[Any, Tensors], list[Any]]:
    def call(T: Any, t: Tensors) -> list[Any]:
        f, shape = T.nn.functional, (8,)
        return [
            f.layer_norm(t["x"], shape, t["w"], t["b"], eps),
            f.layer_norm(t["x"], shape, t["w"], None, eps),
            f.rms_norm(t["x"], shape, t["w"], eps),
        ]

    return call


def _rotate(T: Any, t: Tensors) -> list[Any]:
    rotated = T.complex(t["x"][..., :3], t["x"][..., 3:6]) * T.complex(t["c"], t["s"])
    return [T.cat([rotated.real, rotated.imag, t["x"][..., 6:]], -1)]


def _attention(mask: Host, scale: float) -> Callable[[Any, Tensors], list[Any]]:
    def call(T: Any, t: Tensors) -> list[Any]:
        f = T.nn.functional.scaled_dot_product_attention
        shown = None if mask is None else T.tensor(mask)
        return [f(t["q"], t["k"], t["v"], shown, scale=scale, enable_gqa=True)]

    return call


def _gru_cell(T: Any, t: Tensors) -> list[Any]:
    one, zero = T.eye(9).double(), T.zeros(9).double()
    return [T.gru_cell(t["x"], t["h"], one, t["w"], zero, t["b"])]


def _lstm_cell(T: Any, t: Tensors) -> list[Any]:
    one, zero = T.eye(12).double(), T.zeros(12).double()
    return list(T.lstm_cell(t["x"], (t["h"], t["c"]), one, t["w"], zero, t["b"]))


def _recurrent_stack(cell: str) -> Callable[[Any, Tensors], list[Any]]:
    """Run torch's module on each row by itself, over its real positions."""

    def call(T: Any, t: Tensors) -> list[Any]:
        module_type = {"gru": T.nn.GRU, "lstm": T.nn.LSTM}[cell]
        module = module_type(2, 2, 2, batch_first=True, bidirectional=True).double()
        named = dict(_rnn_names(t))
        outs, ends = [], []
        for b, start in ((0, 0), (1, 1)):
            row = t["x"][b : b + 1, start:]
            y, last = T.func.functional_call(module, named, (row,))
            outs.append(T.nn.functional.pad(y, (0, 0, start, 0)))
            ends.append(last if cell == "lstm" else (last,))
        both = [T.cat(parts, 1) for parts in zip(*ends, strict=True)]
        return [T.cat(outs), *(kind[i] for i in range(4) for kind in both)]

    return call


def _rnn_names(t: Tensors) -> Iterator[tuple[str, Any]]:
    for i in range(2):
        for way, suffix in (("forward", ""), ("backward", "_reverse")):
            for part, letter in (("input", "ih"), ("state", "hh")):
                for leaf in ("weight", "bias"):
                    own = t[f"r.layers.{i}.{way}.{part}.{leaf}"]
                    yield f"{leaf}_{letter}_l{i}{suffix}", own


def _encoder(T: Any, t: Tensors) -> list[Any]:
    c: Any = models.MODELS["classifier"].encoder
    module = T.nn.TransformerEncoderLayer(
        c.width, c.attention.heads, c.mlp.hidden, 0.0, "gelu", c.norm.eps, batch_first=True
    ).double()
    p = {name.removeprefix("encoder.layers.0."): x for name, x in t.items()}
    named = {f"{theirs}.{leaf}": p[f"{own}.{leaf}"] for leaf in ("weight", "bias")
             for theirs, own in _ENCODER_NAMES.items()}  # fmt: skip
    for leaf in ("weight", "bias"):
        named[f"self_attn.in_proj_{leaf}"] = T.cat([p[f"attention.{x}.{leaf}"] for x in "qkv"])
    hidden = T.tensor(models.WHERE < 0)
    return [T.func.functional_call(module, named, (t["x"],), {"src_key_padding_mask": hidden})]


_ENCODER_NAMES = {
    "self_attn.out_proj": "attention.o",
    "linear1": "mlp.up",
    "linear2": "mlp.down",
    "norm1": "attention_norm",
    "norm2": "mlp_norm",
}


def _steps(name: str, kept: tuple[str, ...], **settings: Any) -> Library:
    def call(T: Any, t: Tensors) -> list[Any]:
        p = T.nn.Parameter(t["p"].detach().clone())
        optimizer = getattr(T.optim, name)([p], lr=1.0, **settings)
        for i, rate in enumerate(updates.LEARNING_RATES):
            optimizer.param_groups[0]["lr"] = rate
            p.grad = t[f"g{i}"].detach().clone()
            optimizer.step()
        state = optimizer.state[p]
        return [p, *(state[slot] for slot in kept)]

    return Library(f"torch.optim.{name}", call, gradient=False)


def _unary(name: str) -> Library:
    return Library(f"torch.{name}", lambda T, t: [getattr(T, name)(t["x"])])


def _functional(name: str, **options: Any) -> Library:
    f = f"torch.nn.functional.{name}"
    return Library(f, lambda T, t: [getattr(T.nn.functional, name)(t["x"], **options)])


def _softmax(T: Any, t: Tensors, axes: tuple[int, ...]) -> list[Any]:
    f = T.nn.functional
    return [g(t["x"], axis) for g in (f.softmax, f.log_softmax) for axis in axes]


_ADAM = {"betas": (0.875, 0.96875), "eps": 2.0**-20, "weight_decay": 0.25}
_FACTORED = {"eps": (2.0**-30, 1e-3), "weight_decay": 0.25}
_MOMENTS = ("exp_avg", "exp_avg_sq")
_SDPA = "torch.nn.functional.scaled_dot_product_attention"
_BOTH = "torch.nn.functional.layer_norm, rms_norm"

TORCH: Mapping[str, Library] = MappingProxyType(
    {
        **{
            f"primitive.{n}": _unary(n)
            for n in ("exp", "log", "sqrt", "cos", "sin", "tanh", "sigmoid", "erf")
        },
        "activation.relu": _functional("relu"),
        "activation.silu": _functional("silu"),
        "activation.gelu": _functional("gelu"),
        "activation.gelu_tanh": _functional("gelu", approximate="tanh"),
        "activation.softmax.axes": Library(
            "torch.nn.functional.softmax, log_softmax", lambda T, t: _softmax(T, t, (0, 1, -1))
        ),
        "activation.softmax.large": Library(
            "torch.nn.functional.softmax, log_softmax", lambda T, t: _softmax(T, t, (-1,))
        ),
        "activation.swiglu": Library("torch.nn.functional.silu", _swiglu),
        "loss.mse": Library(
            "torch.nn.functional.mse_loss",
            lambda T, t: [T.nn.functional.mse_loss(t["x"], t["y"])],
        ),
        "loss.cross_entropy": Library("torch.nn.functional.cross_entropy", _cross_entropy),
        "loss.soft_cross_entropy": Library("torch.nn.functional.cross_entropy", _soft),
        "loss.ctc": Library("torch.nn.functional.ctc_loss", _ctc),
        "norm.linear": Library("torch.nn.functional.linear", _linear),
        "norm.plain": Library(_BOTH, _norms(1e-3)),
        "norm.low_variance": Library(_BOTH, _norms(1e-5)),
        "norm.far_mean": Library(_BOTH, _norms(1e-5)),
        "positions.rotate": Library("torch.complex", _rotate),
        "attention.grouped": Library(_SDPA, _attention(attentions.MASK, 0.375)),
        "attention.open": Library(_SDPA, _attention(None, 1.0)),
        "attention.large": Library(_SDPA, _attention(attentions.MASK, 2.0)),
        "recurrent.gru_cell": Library("torch.gru_cell", _gru_cell),
        "recurrent.lstm_cell": Library("torch.lstm_cell", _lstm_cell),
        "model.recurrent.gru": Library("torch.nn.GRU", _recurrent_stack("gru")),
        "model.recurrent.lstm": Library("torch.nn.LSTM", _recurrent_stack("lstm")),
        "transformer.stack.encoder": Library("torch.nn.TransformerEncoderLayer", _encoder),
        "optimizer.norm": Library(
            "torch.linalg.vector_norm",
            lambda T, t: [T.linalg.vector_norm(T.cat([t["x"].ravel(), t["y"].ravel()]))],
        ),
        "optimizer.sgd.nesterov": _steps(
            "SGD", ("momentum_buffer",), momentum=0.875, nesterov=True
        ),
        "optimizer.adamw.plain": _steps("AdamW", _MOMENTS, **_ADAM),
        "optimizer.adamw.tiny": _steps("AdamW", _MOMENTS, **_ADAM),
        "optimizer.adafactor.matrix": _steps("Adafactor", ("row_var", "col_var"), **_FACTORED),
        "optimizer.adafactor.vector": _steps("Adafactor", ("variance",), **_FACTORED),
    }
)
"""Torch's computation by the id of a point."""
