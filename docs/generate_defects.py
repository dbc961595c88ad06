"""Writes docs/framework-defects.md from the programs in conformance/defects.

``python docs/generate_defects.py`` writes the page; a test compares it with `page`.
"""
# ruff: noqa: INP001 - a script, not a package

from __future__ import annotations

import ast
import configparser
from pathlib import Path

__all__ = ["page"]

_ROOT = Path(__file__).parents[1]
_PROGRAMS = _ROOT / "conformance" / "defects"
_NAMES = {
    "jax": ("JAX", "jax"),
    "keras_hub": ("KerasHub", "keras-hub"),
    "mlx": ("MLX", "mlx[cpu]"),
    "paddle": ("PaddlePaddle", "paddlepaddle"),
    "tensorflow": ("TensorFlow", "tensorflow-cpu"),
    "transformers": ("transformers", "transformers"),
}
_HEAD = """<!-- Made by docs/generate_defects.py: change conformance/defects, and run it again. -->
# Defects of frameworks

Certifying a backend tries its framework, too, and `lmkernel verify` tries others' models. This is
what was found in frameworks themselves, each as a program without lmkernel that prints what is
expected and what came. `tox` runs them with the versions below: one that is mended fails there, and
leaves this page. A defect is handled in the backend, never by a more lenient case.
"""


def _version(distribution: str) -> str:
    """The version that tox installs."""
    settings = configparser.ConfigParser(interpolation=None)
    settings.read(_ROOT / "tox.ini")
    lines = [line for name in settings for line in settings[name].get("deps", "").splitlines()]
    pins = [line.partition("==") for line in lines]
    [version] = {version for name, _, version in pins if name == distribution}
    return version


def _section(program: Path) -> str:
    """A program's title, what is said of it, and itself."""
    text = program.read_text()
    title, *rest = (ast.get_docstring(ast.parse(text)) or "").split("\n\n")
    code = text.split('"""', 2)[2].strip()
    return "\n\n".join([f"### {title.rstrip('.')}", *rest, f"```python\n{code}\n```"])


def page() -> str:
    """The whole page."""
    parts = [_HEAD.rstrip()]
    for folder, (name, distribution) in _NAMES.items():
        parts.append(f"## {name} {_version(distribution)}")
        parts += [_section(program) for program in sorted((_PROGRAMS / folder).glob("*.py"))]
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    (_ROOT / "docs" / "framework-defects.md").write_text(page())
