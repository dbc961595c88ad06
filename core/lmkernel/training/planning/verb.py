"""The verb ``plan``: what training a model would ask of each device of a mesh."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lmkernel.arguments import as_strings, is_absent, require_count, require_known
from lmkernel.backend import load_backend
from lmkernel.checkpoints.json_files import read_object
from lmkernel.config import TransformerConfig
from lmkernel.contract.distribution import Mesh
from lmkernel.errors import ConfigError
from lmkernel.factory import ComponentFactory
from lmkernel.families.agreement import read_config
from lmkernel.families.family import find_family
from lmkernel.families.hf_config import HfConfig
from lmkernel.families.text_parts import text_values
from lmkernel.interfaces import Init, Param
from lmkernel.model import Model
from lmkernel.origin import open_origin
from lmkernel.parameters import flatten
from lmkernel.paths import path_text, user_path
from lmkernel.training.planning.costs import Work, held, sent
from lmkernel.training.planning.hardware import parse_hardware
from lmkernel.training.planning.plan import Plan
from lmkernel.training.run.meter import flops_per_token
from lmkernel.training.step.optimizers import build_optimizer, usual_config

if TYPE_CHECKING:
    import os

    from lmkernel.config import ModelConfig
    from lmkernel.training.planning.hardware import Hardware

__all__ = ["plan"]

_SIZES = {"float32": 4, "bfloat16": 2}
"""Bytes of a number that is computed with."""
_MOST = 2**31 - 1
"""Rows, positions or micro-batches; the bytes of so many are still a number that a float holds."""


def plan(
    model: str | os.PathLike[str],
    *,
    mesh: str = "",
    hardware: str = "h100",
    batch: int = 8,
    context: int | None = None,
    accumulate: int = 1,
    optimizer: str = "adamw",
    dtype: str = "float32",
) -> Plan:
    """What training a model would hold and send on each device, and what bounds its steps.

    Nothing is loaded or started: all follows from the model's configuration.

    Args:
        model: a name, a folder or a GGUF file; or a ``config.json`` alone, for a model that is not
            here.
        mesh: how devices are arranged, such as ``"data=8,model=4"``; by default one.
        hardware: a device by name, numbers of its own, or both: ``"h100,network=5e10"``.
        batch: rows of a micro-batch, of all devices together.
        context: positions of a row; by default the model's.
        accumulate: micro-batches of a step.
        optimizer: which, by name.
        dtype: that it computes in, ``"float32"`` or ``"bfloat16"``; parameters are in float32.

    Raises:
        InputError: an argument is not what it should be, or the device is not known.
        ConfigError: sizes do not divide by the mesh, or the model is no transformer.
        LmkernelError: there is no such model.
    """
    require_count("batch", batch, most=_MOST)
    require_count("accumulate", accumulate, most=_MOST)
    if context is not None:
        require_count("context", context, most=_MOST)
    require_known("dtype", dtype, _SIZES)
    as_strings("optimizer", [optimizer])
    (device,) = map(parse_hardware, as_strings("hardware", [hardware]))
    arranged = Mesh() if is_absent(mesh) else Mesh.parse(*as_strings("mesh", [mesh]))
    if batch % arranged.extent(arranged.rows):
        parts = arranged.extent(arranged.rows)
        raise ConfigError(f"batch: expected a multiple of {parts} with {arranged}, got {batch}")
    config, label = _config_of(model), path_text(model, "model")
    work = Work(
        declared=flatten(Model(load_backend(), config).declare()),
        stack=_stack_of(config, label),
        vocab=config.head.size if config.head else 0,
        mesh=arranged,
        batch=batch,
        context=context or config.context,
        accumulate=accumulate,
        moments=_moments(optimizer),
        size=_SIZES[dtype],
    )
    return _planned(work, device, label)


def _config_of(model: str | os.PathLike[str]) -> ModelConfig:
    path = path_text(model, "model")
    if not path.endswith(".json"):
        return open_origin(path).config
    values = text_values(read_object(user_path(path), required=True), path)
    return read_config(find_family(values.get("model_type"), path, ""), HfConfig(values, path))


def _stack_of(config: ModelConfig, label: str) -> TransformerConfig:
    stack = config.decoder or config.encoder
    if not isinstance(stack, TransformerConfig) or (config.decoder and config.encoder):
        raise ConfigError(f"plan: expected a model of one stack of transformer layers, got {label}")
    return stack


def _moments(kind: str) -> int:
    """Arrays of a parameter's shape that an optimizer keeps, seen at a small one.

    Raises:
        ConfigError: it keeps others.
    """
    factory = ComponentFactory(load_backend())
    probe = {"p": Param(shape=(2, 3), init=Init("zeros"), axes=("out", "in"))}
    made = build_optimizer(factory, usual_config(kind), probe)
    with factory.backend.scope():
        state = made.init({"p": factory.ops.asarray(np.zeros((2, 3)), "float32")})
    shapes = [tuple(x.shape) for x in flatten(state).values()]
    if not made.elementwise or any(shape != (2, 3) for shape in shapes):
        raise ConfigError(
            f"optimizer: expected one whose state has the parameters' shapes, such as adamw, for a "
            f"plan; got {kind!r}"
        )
    return len(shapes)


def _planned(work: Work, device: Hardware, label: str) -> Plan:
    kept, away = held(work), sent(work)
    count, tokens = work.mesh.size, work.batch * work.context * work.accumulate
    whole = sum(int(np.prod(p.shape)) for p in work.declared.values())
    each = flops_per_token(whole, work.stack.layers, work.stack.width, work.context)
    return Plan(
        model=label,
        mesh=str(work.mesh),
        parameters=whole,
        tokens=tokens,
        held=kept,
        sent=away,
        bounds={
            "compute": each * tokens / count / device.flops,
            "memory": _moved(work) / device.bandwidth,
            "network": away.total / device.network,
        },
        hardware=device,
    )


def _moved(work: Work) -> float:
    """Bytes between a device and its memory in a step, at least.

    For each micro-batch, weights are read forward and backward, gradients and activations are
    written once and read once; an update reads parameters, gradients and moments, and writes the
    first and the last.
    """
    kept = held(work)
    joined = kept.parameters + kept.joined
    micro = 2 * joined + 2 * joined + 2 * kept.activations
    update = 2 * kept.parameters + kept.gradients + 2 * kept.moments
    return micro * work.accumulate + update
