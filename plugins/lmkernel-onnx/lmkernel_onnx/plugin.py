"""Registers the ONNX Runtime backend and its command without importing ONNX."""

from __future__ import annotations

from lmkernel.contract.capabilities import Capabilities
from lmkernel.plugins import BackendSpec, CommandSpec, hookimpl

NO_GRADIENTS = "ONNX Runtime is for inference alone"
INSTALL = "pip install 'lmkernel-onnx[cpu]'"


@hookimpl
def lmkernel_register_backends() -> list[BackendSpec]:
    """ONNX Runtime on the CPU."""
    return [
        BackendSpec(
            name="onnx",
            load="lmkernel_onnx.backend:create",
            contract="1.2",
            requires=("onnxruntime", "onnx", "numpy"),
            distributions=("onnxruntime", "onnx", "numpy"),
            install=INSTALL,
            capabilities=Capabilities(
                compiled=True,
                shape_step=64,
                unsupported={"value_and_grad": NO_GRADIENTS},
            ),
            description="ONNX Runtime on the CPU, for inference",
        )
    ]


@hookimpl
def lmkernel_register_commands() -> list[CommandSpec]:
    """The command ``lmkernel export``."""
    return [
        CommandSpec(
            name="export",
            load="lmkernel_onnx.command:ExportCommand",
            call="lmkernel_onnx.exporting:export",
            contract="1.2",
            help="write a model as an ONNX file, with its cache as inputs and results",
        )
    ]
