"""An ONNX file, with its weights inside or, where they are many, in a file beside it."""

from __future__ import annotations

from typing import IO, TYPE_CHECKING, Any

import onnx
from onnx import numpy_helper

from lmkernel_onnx.graph import model_of, outside

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from lmkernel_onnx.decoder_graph import DecoderGraph

__all__ = ["write_model"]

_INSIDE = 1 << 30
"""Bytes of weights that a file may hold itself; no ONNX file has more than 2 GiB."""
_ALIGNED = 4096
"""Where each tensor begins, so that it can be mapped."""
_SMALL = 1024
"""Bytes of constants that stay inside in any case, so that shapes can be inferred."""


def write_model(decoder: DecoderGraph, path: Path) -> list[Path]:
    """Write a decoder; returns the files that were made, the graph's the last.

    Raises:
        onnx.checker.ValidationError: what was made is no valid ONNX, so this is a mistake here.
    """
    made = [path]
    if sum(x.nbytes for x in decoder.graph.constants.values()) > _INSIDE:
        beside = path.with_name(f"{path.name}.data")
        with beside.open("wb") as file:
            proto = decoder.graph.proto(
                "decoder", decoder.outputs, decoder.axes, lambda name, x: _outside(file, name, x)
            )
        made.insert(0, beside)
    else:
        proto = decoder.graph.proto("decoder", decoder.outputs, decoder.axes)
    path.write_bytes(model_of(proto).SerializeToString())
    onnx.checker.check_model(str(path), full_check=True)
    return made


def _outside(file: IO[bytes], name: str, array: NDArray[Any]) -> onnx.TensorProto:
    """A tensor whose numbers are written to a file."""
    if array.nbytes <= _SMALL:
        return numpy_helper.from_array(array, name)
    file.write(bytes(-file.tell() % _ALIGNED))
    name_of_file = file.name.rpartition("/")[2]
    tensor = outside(name, array, location=name_of_file, offset=file.tell(), length=array.nbytes)
    file.write(array.data)
    return tensor
