"""What a source fetched, opened before it is published: is it a model at all."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lmkernel.checkpoints import open_model
from lmkernel.errors import CheckpointError
from lmkernel.families.agreement import agreed_config
from lmkernel.families.family import find_family
from lmkernel.families.hf_config import HfConfig
from lmkernel.families.text_parts import text_part
from lmkernel.plugins import FamilySpec, default_registry

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["check_model"]


def check_model(folder: Path) -> None:
    """Open a model's files, and compare its configuration with them if its family is installed.

    No weight is read: the headers say where each lies, and are compared with the files' sizes.

    Raises:
        CheckpointError: the folder holds no model, or a damaged one.
    """
    files = text_part(open_model(folder))
    model_type = files.config.get("model_type")
    if not isinstance(model_type, str) or not model_type:
        raise CheckpointError(
            f"{folder / 'config.json'}: expected model_type, a model's family, got {model_type!r}"
        )
    if not files.tensors.names():
        raise CheckpointError(f"{folder}: expected weights, got files without a tensor")
    families = default_registry().all(FamilySpec)
    if model_type in families:
        described = HfConfig(files.config, str(folder / "config.json"))
        agreed_config(find_family(model_type, described.where), described, files.tensors)
