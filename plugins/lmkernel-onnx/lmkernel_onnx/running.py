"""Sessions of ONNX Runtime."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import onnxruntime
from onnx import TensorProto, numpy_helper

from lmkernel_onnx.graph import model_of, outside

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from lmkernel_onnx.graph import Graph
    from lmkernel_onnx.values import Value

__all__ = ["new_options", "session_of"]

_ERRORS_ONLY = 3
_LARGE = 1 << 16
"""Bytes from which a constant is no part of the graph's own bytes."""


def session_of(
    graph: Graph, outputs: Sequence[Value], threads: int | None
) -> onnxruntime.InferenceSession:
    """What runs a graph.

    Args:
        graph: the graph.
        outputs: its results.
        threads: how many it runs on; by default what ``OMP_NUM_THREADS`` says, else all cores.
    """
    settings = new_options(threads)
    large: dict[str, NDArray[Any]] = {}

    def tensor(name: str, array: NDArray[Any]) -> TensorProto:
        if array.nbytes < _LARGE:
            return numpy_helper.from_array(array, name)
        large[name] = array
        return outside(name, array, location="memory")

    proto = model_of(graph.proto("compiled", outputs, tensor=tensor))
    # no graph has more than 2 GiB, so what is large is handed over beside it
    values = [onnxruntime.OrtValue.ortvalue_from_numpy(array) for array in large.values()]
    settings.add_external_initializers(list(large), values)
    return onnxruntime.InferenceSession(
        proto.SerializeToString(), settings, providers=["CPUExecutionProvider"]
    )


def new_options(threads: int | None = None) -> onnxruntime.SessionOptions:
    """Settings of a session, on some threads; by default as many as `session_of` says."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = _ERRORS_ONLY
    asked = os.environ.get("OMP_NUM_THREADS", "")
    options.intra_op_num_threads = threads or (int(asked) if asked.isdecimal() else 0)
    # threads that wait without sleeping would take the time of others, and of each other
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options
