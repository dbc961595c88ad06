"""What processes do together around a run: one fails, and every other says so."""

from __future__ import annotations

import json
import re
from contextlib import contextmanager
from typing import TYPE_CHECKING

from lmkernel.errors import LmkernelError, PeerError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lmkernel.contract.distribution import Distribution

__all__ = ["agree", "any_of", "joined", "tell_failure", "watch_peers"]

_PLACE = re.compile(r"\[[^\]]*\.cc:\d+\] ")
"""Where in an engine's own source an error was raised."""


@contextmanager
def watch_peers(distribution: Distribution) -> Iterator[None]:
    """Around what processes do together.

    Raises:
        PeerError: another process cannot be reached any more.
    """
    try:
        yield
    except LmkernelError:
        raise
    except Exception as error:  # an engine raises its own where a process is gone
        if not distribution.is_loss(error):
            raise
        own = distribution.processes
        reason = _PLACE.sub("", str(error)).strip().splitlines() or [type(error).__name__]
        raise PeerError(
            f"process {own.rank} of {own.count}: another process of the run ended, or cannot be "
            f"reached ({reason[0].partition('. ')[0][:200]})"
        ) from error


@contextmanager
def joined(distribution: Distribution) -> Iterator[None]:
    """The time that processes are together; leaves the engine at its end.

    Raises:
        PeerError: as `watch_peers`.
    """
    try:
        with watch_peers(distribution):
            yield
            distribution.close()  # which waits for the others, of whom one may be gone by now
    except BaseException as error:
        distribution.close(error.exit_code if isinstance(error, LmkernelError) else 1)
        raise


@contextmanager
def tell_failure(distribution: Distribution) -> Iterator[None]:
    """Around what a process does by itself before `agree`: its error is every other's."""
    try:
        yield
    except LmkernelError as error:
        distribution.exchange(json.dumps({"error": str(error)}).encode())
        raise


def agree(distribution: Distribution, **facts: str) -> dict[str, str]:
    """What process 0 says, after all say the same of what they share.

    Args:
        distribution: the processes.
        facts: what must be equal; those whose names begin with ``own_`` may differ.

    Raises:
        PeerError: another process failed in `tell_failure`, or says something else.
    """
    told = [json.loads(one) for one in distribution.exchange(json.dumps(facts).encode())]
    for rank, other in enumerate(told):
        if "error" in other:
            raise PeerError(f"process {rank} of {len(told)}: {other['error']}")
        for name, value in facts.items():
            if not name.startswith("own_") and other[name] != value:
                raise PeerError(
                    f"{name}: expected the same in all processes, got {other[name]} in process "
                    f"{rank} and {value} in process {distribution.processes.rank}"
                )
    return dict(told[0])


def any_of(distribution: Distribution, *, asked: bool) -> bool:
    """Whether any process asks for something."""
    return any(one == b"1" for one in distribution.exchange(b"1" if asked else b"0"))
