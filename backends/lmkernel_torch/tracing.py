"""Whether torch itself looks at what is called now, and not only runs it."""

from __future__ import annotations

import torch

__all__ = ["is_traced"]


def is_traced() -> bool:
    """Whether `torch.compile` or `torch.export` traces, or `torch.func` transforms.

    Then no value may be looked at on the host, and the library's own operations alone may be
    called: gradients written by hand are neither traced nor transformed.
    """
    transformed = torch._C._are_functorch_transforms_active()  # noqa: SLF001 - what `torch.autograd.Function` asks; there is no public way
    return bool(torch.compiler.is_compiling() or transformed)
