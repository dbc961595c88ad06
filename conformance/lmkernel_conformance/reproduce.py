"""``python -m lmkernel_conformance.reproduce CASE --backend NAME --dtype D``: runs one case again.

It runs in this process, so that a debugger can step into the backend and a failure keeps its
traceback. ``--seed`` takes the seed of a run with fresh inputs.
"""

from __future__ import annotations

import argparse
import os
import sys

__all__ = ["main"]


def main(arguments: list[str] | None = None) -> int:
    """Print what each comparison used of its budget, and raise what the case raises."""
    args = _parse(arguments)
    if args.seed is not None:
        os.environ["LMKERNEL_CONFORMANCE_SEED"] = str(args.seed)
    from lmkernel.arguments import require_known
    from lmkernel.backend import load_backend
    from lmkernel.plugins import default_registry
    from lmkernel_conformance.cases import CASES, Item
    from lmkernel_conformance.catalogue import likely
    from lmkernel_conformance.isolation.watch import watch_backend
    from lmkernel_conformance.runner import attempt
    from lmkernel_conformance.subject import Subject

    require_known("case", args.case, CASES)
    registry = default_registry()
    backend = load_backend(args.backend, registry=registry)
    case = CASES[args.case]
    subject = Subject(backend=watch_backend(backend, registry.select_backend(args.backend)))
    outcome = attempt(subject, Item(case, args.dtype))
    print(f"{args.case}[{args.dtype}] on {args.backend}: {case.doc}")  # noqa: T201 - a command's results are printed
    for record in outcome.records:
        shares = [f"{share:.1%} ({name})" for name, share in record.measurement.shares.items()]
        used = ", ".join(shares) or "nothing"
        print(f"  {record.what}: {record.measurement.ulps:.3g} ulp, {used} of its budget")  # noqa: T201 - the same
    if outcome.error is None:
        print("passed")  # noqa: T201 - the same
        return 0
    for hint in likely(case.rows):
        print(f"likely: {hint}")  # noqa: T201 - the same
    raise outcome.error


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m lmkernel_conformance.reproduce")
    parser.add_argument("case", metavar="CASE", help="such as operations/softmax")
    parser.add_argument("--backend", required=True, metavar="NAME")
    parser.add_argument("--dtype", default="float32", metavar="D")
    parser.add_argument("--seed", type=int, help="of a run with fresh inputs")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
