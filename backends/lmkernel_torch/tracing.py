"""Whether torch is tracing or transforming the operations that are called now."""

from __future__ import annotations

import torch

__all__ = ["is_traced"]


def is_traced() -> bool:
    """Whether `torch.compile` or `torch.export` traces, or `torch.func` transforms.

    Then no value may be read on the host, and only the library's own operations may be called:
    gradients written by hand are neither traced nor transformed.
    """
    transformed = torch._C._are_functorch_transforms_active()  # noqa: SLF001 - what `torch.autograd.Function` asks; there is no public way
    return bool(torch.compiler.is_compiling() or transformed)
