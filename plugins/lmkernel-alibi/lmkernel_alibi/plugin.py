"""Registers both components, importing neither until it is selected."""

from __future__ import annotations

from lmkernel.plugins import ComponentSpec, hookimpl


@hookimpl
def lmkernel_register_components() -> list[ComponentSpec]:
    """The attention ``"alibi"`` and the loss ``"focal"``."""
    return [
        ComponentSpec(
            interface="attention",
            name="alibi",
            load="lmkernel_alibi.attention:AlibiAttention",
            contract="1.0",
        ),
        ComponentSpec(
            interface="loss",
            name="focal",
            load="lmkernel_alibi.loss:FocalLoss",
            contract="1.0",
        ),
    ]
