"""Runs the suite on a backend, in worker processes, and makes the certificate of the run."""

from __future__ import annotations

import datetime as dt
import secrets
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, final

from lmkernel.errors import CapabilityError
from lmkernel_conformance.certificate.certificate import about_backend, complete
from lmkernel_conformance.certificate.known_failures import known_failures
from lmkernel_conformance.certificate.states import Judge, row_not_offered
from lmkernel_conformance.certificate.verdict import WHOLE
from lmkernel_conformance.isolation.session import run
from lmkernel_conformance.levels import levels_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from lmkernel.plugins import BackendSpec
    from lmkernel_conformance.certificate.known_failures import KnownFailure
    from lmkernel_conformance.isolation.session import Answer, Plan
    from lmkernel_conformance.manifest import Key, Manifest

__all__ = ["Certification"]

_SEED_BITS = 32
_FRESH_MARGIN = 4.0
_NO_FRESH: Mapping[str, Any] = MappingProxyType({"seed": 0, "cases": 0, "failures": []})
USUAL = "the framework's default settings"
STRICT = "strict: products of float32 in float32"


@final
@dataclass(frozen=True, kw_only=True)
class Certification:
    """One run of the suite on one backend.

    Args:
        spec: the specification of the backend.
        plan: the plan of the run.
        manifest: the manifest, which says what must run.
        profile: one of `lmkernel_conformance.levels.PROFILES`.
        levels: the levels to run; all if empty.
        smoke: only the smoke run's cases.
        on_answer: called with each answer.
    """

    spec: BackendSpec
    plan: Plan
    manifest: Manifest
    profile: str = "full"
    levels: tuple[str, ...] = ()
    smoke: bool = False
    on_answer: Callable[[Answer], None] = lambda _: None

    @property
    def selection(self) -> str:
        """``"whole"``, or a description of the part that was run."""
        parts = ["smoke"] if self.smoke else []
        parts += [f"levels {', '.join(self.levels)}"] if self.levels else []
        return "; ".join(parts) or WHOLE

    @property
    def device(self) -> str:
        """The device that the backend computes on."""
        return self.plan.device or self.spec.capabilities.devices[0]

    @property
    def keys(self) -> list[Key]:
        """The cases to run, each in a dtype."""
        declared = self.spec.capabilities.dtypes_on(self.device)
        whole = self.manifest.required_keys(self.profile, declared)
        chosen = self.manifest.smoke_keys(self.profile) if self.smoke else whole
        return [k for k in chosen if not self.levels or k.case.partition("/")[0] in self.levels]

    def run(self) -> dict[str, Any]:
        """Run the cases and make the certificate, whatever its verdict.

        That of a backend that cannot be loaded has no cases, and says why.

        Raises:
            CapabilityError: the backend cannot run at all, such as on a device that is not there.
        """
        known, today = known_failures(self.spec), _today()
        offered, missing = self._divided()
        greeting, answers = run(self.plan, offered, self.on_answer)
        if "refused" in greeting:
            raise CapabilityError(greeting["error"])
        loaded = bool(answers) or not offered
        judge = Judge(
            manifest=self.manifest,
            unsupported=self.spec.capabilities.unsupported,
            known=known,
            today=today,
        )
        about = {
            "profile": self.profile,
            "selection": self.selection,
            "issued": today,
            "precision": STRICT if self.plan.strict else USUAL,
            "backend": about_backend(self.spec, greeting.get("device", self.device)),
            "cases": [
                *(judge.row(answer) for answer in answers),
                *(row_not_offered(key, self.spec.name) for key in missing if loaded),
            ],
            "fresh": self._fresh() if loaded else dict(_NO_FRESH),
            "next": greeting.get("next", ""),
            "problems": [*self._declaration_problems(greeting), *self._unmatched_entries(known)],
        }
        return complete(about, known, self.manifest)

    def _divided(self) -> tuple[list[Key], list[Key]]:
        """The keys that are run, and those of a level that the backend does not offer."""
        levels = levels_of(distributes=bool(self.spec.distribute))
        offered = [key for key in self.keys if key.case.partition("/")[0] in levels]
        return offered, [key for key in self.keys if key not in offered]

    def _declaration_problems(self, greeting: Answer) -> list[str]:
        """Differences between what the loaded backend declares and what its spec declares."""
        if "error" in greeting:
            return [greeting["error"]]
        said = self.spec.capabilities
        wanted = {
            "dtypes": list(said.dtypes_on(self.device)),
            "unsupported": dict(said.unsupported),
            "bitwise": list(said.bitwise_on(self.device)),
        }
        return [
            f"{name}: the spec declares {want}, the process that loads it {greeting.get(name)}"
            for name, want in wanted.items()
            if greeting.get(name) != want
        ]

    def _unmatched_entries(self, known: Sequence[KnownFailure]) -> list[str]:
        keys = self.manifest.required_keys("full", self.spec.capabilities.dtypes)
        return [
            f"the known failure {entry} matches nothing"
            for entry in known
            if entry.matches_none(keys)
        ]

    def _fresh(self) -> dict[str, Any]:
        """Run single operations once more, on inputs from a seed that nobody could know before."""
        # Memorised answers pass the fixed inputs and fail these. An unlucky draw may take an honest
        # backend slightly over its budget, so failures count only beyond a margin (`_within`): what
        # is memorised or wrong is far outside it, and the verdict does not depend on the draw.
        keys = [] if self.levels and "operations" not in self.levels else self._fresh_keys()
        seed, failures = _fresh_failures(self.plan, keys)
        return {"seed": seed, "cases": len(keys), "failures": failures}

    def _fresh_keys(self) -> list[Key]:
        """The cases to run with fresh inputs, without known failures, which prove nothing here."""
        known = known_failures(self.spec)
        keys = [
            k
            for k in self.manifest.fresh_keys()
            if not any(e.matches(k.case, k.dtype) for e in known)
        ]
        return keys[:: 32 if self.smoke else 1]


def _fresh_failures(plan: Plan, keys: Sequence[Key]) -> tuple[int, list[str]]:
    """The seed that was drawn, and a line for each failure; an unsupported operation is none."""
    seed = secrets.randbits(_SEED_BITS)
    _, answers = run(replace(plan, seed=seed), keys) if keys else ({}, [])
    return seed, [
        f"{a['case']}[{a['dtype']}]: {a['message']}"
        for a in answers
        if a["outcome"] != "passed" and not a.get("refused") and not _within(a)
    ]


def _within(answer: Answer) -> bool:
    """Whether the only fault is a numerical error outside the budget and inside the margin."""
    share = answer.get("share")
    return share is not None and 1 < share <= _FRESH_MARGIN


def _today() -> str:
    return dt.datetime.now(dt.UTC).date().isoformat()
