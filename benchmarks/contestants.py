"""Who is measured: this project on each backend, and the rivals, each with its ways of running.

A rival's group holds its variants; a ratio is taken against the best of them, so a rival is always
seen as its documentation tunes it, whichever way that turns out faster here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

__all__ = ["BACKENDS", "OURS", "RIVALS", "SPEEDS", "Contestant", "Pythons", "contestants"]

WORKERS = Path(__file__).parent / "workers"
OURS = "lmkernel"
SPEEDS = ("decode1", "decode8", "prefill")

RIVALS: Mapping[str, str] = MappingProxyType(
    {
        "numpy": "transformers",
        "torch": "transformers",
        "tensorflow": "kerashub-tensorflow",
        "jax": "kerashub-jax",
    }
)
"""The group that each of our backends is compared with."""

BACKENDS = tuple(RIVALS)

VARIANTS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "transformers": ("generate", "loop", "static", "compiled"),
        "kerashub-tensorflow": ("default", "xla"),
        "kerashub-jax": ("default",),
    }
)


@dataclass(frozen=True)
class Pythons:
    """The interpreter that has each library."""

    transformers: str
    keras: str
    lmkernel: str


@dataclass(frozen=True)
class Contestant:
    """One line of the tables, one process in each round.

    Args:
        group: `OURS`, or the rival.
        variant: the backend's name, or the rival's way of running.
        python: the interpreter.
        env: what is added to the environment.
        has_cold: whether its cold start is measured.
    """

    group: str
    variant: str
    python: str
    env: dict[str, str] = field(default_factory=dict)
    has_cold: bool = False

    @property
    def name(self) -> str:
        """The group and the variant."""
        return f"{self.group} {self.variant}"

    @property
    def worker(self) -> Path:
        """The script that measures it."""
        scripts = {OURS: "lmk.py", "transformers": "hf.py"}
        return WORKERS / scripts.get(self.group, "kerashub.py")

    def cold_command(self, model: str, message: str, count: int) -> list[str]:
        """Answer one message from a cold start and end; the answer goes to standard output."""
        if self.group != OURS:
            script = str(self.worker.with_name("hf_cold.py"))
            return [self.python, script, model, message, str(count)]
        chat = [self.python, "-m", "lmkernel.cli", "chat", "--model", model]
        options = ["--backend", self.variant, "--max-new-tokens", str(count)]
        return [*chat, *options, message]


def contestants(
    pythons: Pythons, only: Collection[str], skip: Collection[str] = ()
) -> list[Contestant]:
    """List those that the chosen backends need, rivals first.

    Args:
        pythons: the interpreters.
        only: names of our backends; a rival comes along if it stands beside one of them.
        skip: names of contestants to leave out, such as ``"transformers compiled"``.
    """
    groups = dict.fromkeys(RIVALS[backend] for backend in BACKENDS if backend in only)
    rivals = [_rival(pythons, group, variant) for group in groups for variant in VARIANTS[group]]
    ours = [
        Contestant(OURS, backend, pythons.lmkernel, has_cold=True)
        for backend in BACKENDS
        if backend in only
    ]
    return [one for one in [*rivals, *ours] if one.name not in skip]


def _rival(pythons: Pythons, group: str, variant: str) -> Contestant:
    library, _, backend = group.partition("-")
    if library == "transformers":
        return Contestant(group, variant, pythons.transformers, has_cold=variant == "generate")
    return Contestant(group, variant, pythons.keras, {"KERAS_BACKEND": backend})
