"""A fixture that certifies a backend written by a test, as any other is certified."""

from __future__ import annotations

import os
import zlib
from typing import TYPE_CHECKING, Any

import pytest
from own_backends import Own, install, part_of_manifest

from lmkernel.plugins import Registry
from lmkernel_conformance.certificate.certification import Certification
from lmkernel_conformance.isolation.session import Plan

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def certify(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Callable[[Own], dict[str, Any]]:
    """A function that installs a backend's distribution by its path and returns its certificate."""
    name = f"own_backend_{zlib.crc32(request.node.nodeid.encode())}"

    before = [place for place in [os.environ.get("PYTHONPATH")] if place]

    def certificate_of(own: Own) -> dict[str, Any]:
        install(tmp_path, name, own)
        monkeypatch.syspath_prepend(str(tmp_path))
        monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), *before]))
        spec = Registry().select_backend(name)
        plan = Plan(backend=name, jobs=1, limit=own.limit, strict=own.strict)
        return Certification(
            spec=spec, plan=plan, manifest=part_of_manifest(own.cases), profile=own.profile
        ).run()

    return certificate_of
