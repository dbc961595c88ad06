"""The makers of reference vectors: mpmath, the oracle, torch, and published answers.

``python -m lmkernel_proofs.vectors`` runs those whose libraries are installed.
"""

from __future__ import annotations

import json
import math
from importlib.metadata import version
from importlib.util import find_spec
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from lmkernel.errors import MissingDependencyError
from lmkernel_conformance.canonical import HASH, with_hash
from lmkernel_proofs.vectors import FOLDER, FORMAT

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from lmkernel_proofs.witnesses.point import Point

__all__ = ["MAKERS", "make_vectors", "needs", "write_vectors"]


def needs(name: str) -> tuple[str, ...]:
    """The libraries that making a file needs and that are not installed."""
    wanted = {"torch.json": ("mpmath", "torch"), "published.json": ()}.get(name, ("mpmath",))
    return tuple(library for library in wanted if find_spec(library) is None)


def make_vectors(name: str) -> dict[str, Any]:
    """Make the content of one file, its hash included.

    Raises:
        MissingDependencyError: a library that makes it is not installed.
    """
    if missing := needs(name):
        raise MissingDependencyError(f"{name}: pip install {' '.join(missing)}")
    maker, points = MAKERS[name]()
    return with_hash({"format": FORMAT, "maker": maker, "points": points})


def write_vectors(name: str, folder: Path = FOLDER) -> Path:
    """Make a file and write it, with each point on a line of its own."""
    vectors, path = make_vectors(name), folder / name
    head = "".join(f"  {json.dumps(k)}: {json.dumps(vectors[k])},\n" for k in ("format", "maker"))
    lines = [
        f"    {json.dumps(point)}: {json.dumps(about, separators=(',', ':'))}"
        for point, about in sorted(vectors["points"].items())
    ]
    points, seal = ",\n".join(lines), json.dumps(vectors[HASH])
    text = f'{{\n{head}  "points": {{\n{points}\n  }},\n  "{HASH}": {seal}\n}}\n'
    path.write_text(text, encoding="utf-8")
    return path


Vectors = tuple[str, "Mapping[str, Any]"]


def _exact() -> Vectors:
    from lmkernel_proofs.witnesses.agreement import allowances, exact_slopes, exact_values
    from lmkernel_proofs.witnesses.precise import MAKER

    def one(point: Point) -> dict[str, Any]:
        slopes = exact_slopes(point) if point.gradient else []
        bounds = [[_up(x) for x in part] for part in allowances(point)]
        return {**_numbers(exact_values(point), slopes), "allowed": bounds}

    return MAKER, _points(one)


def _oracle() -> Vectors:
    import numpy as np

    from lmkernel_proofs.witnesses.agreement import oracle_slopes, oracle_values

    def one(point: Point) -> dict[str, Any]:
        return _numbers(oracle_values(point), oracle_slopes(point) if point.gradient else [])

    return f"lmkernel {version('lmkernel')}, NumPy {np.__version__}", _points(one)


def _torch() -> Vectors:
    from lmkernel_proofs.witnesses import libraries
    from lmkernel_proofs.witnesses.agreement import directions, probes

    def one(point: Point) -> dict[str, Any]:
        if point.id not in libraries.TORCH:
            return {}
        library, slopes = libraries.TORCH[point.id], []
        if library.gradient and point.gradient:
            slopes = libraries.library_slopes(point, probes, directions)
        return {"by": library.name, **_numbers(libraries.library_values(point), slopes)}

    return f"torch {version('torch').partition('+')[0]}", _points(one)


def _published_answers() -> Vectors:
    from lmkernel_proofs.witnesses.philox import KNOWN_ANSWERS, PUBLISHED_BY

    def words(numbers: tuple[int, ...]) -> list[str]:
        return [f"{x:016x}" for x in numbers]

    return PUBLISHED_BY, {
        f"philox.{i}": {"counter": words(counter), "key": words(key), "words": words(answer)}
        for i, ((counter, key), answer) in enumerate(KNOWN_ANSWERS.items(), 1)
    }


def _points(one: Callable[[Point], dict[str, Any]]) -> dict[str, Any]:
    from lmkernel_proofs.witnesses.table import POINTS

    every = {name: one(point) for name, point in POINTS.items()}
    return {
        name: {"inputs": POINTS[name].fingerprint[:16], **about}
        for name, about in every.items()
        if about
    }


def _numbers(values: list[Any], slopes: list[Any]) -> dict[str, list[str]]:
    found = {"values": [float(x).hex() for x in values]}
    return {**found, "slopes": [float(x).hex() for x in slopes]} if slopes else found


def _up(x: float) -> float:
    """Round up to two decimal digits, so that a bound never shrinks when it is stored."""
    exponent = math.floor(math.log10(x)) - 1
    return float(f"{math.ceil(x / 10.0**exponent)}e{exponent}")


MAKERS: Mapping[str, Callable[[], Vectors]] = MappingProxyType(
    {
        "mpmath.json": _exact,
        "oracle.json": _oracle,
        "published.json": _published_answers,
        "torch.json": _torch,
    }
)
"""The maker of each file."""
