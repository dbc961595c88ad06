"""``python -m lmkernel_conformance.exploration EXAMPLE --backend NAME``: runs one example again.

It runs in this process, so that a debugger can step into the backend and a failure keeps its
traceback.
"""

from __future__ import annotations

import argparse
import json
import sys

__all__ = ["main"]


def main(arguments: list[str] | None = None) -> int:
    """Print that the example passes, or raise what it raises."""
    from lmkernel.backend import load_backend
    from lmkernel.plugins import default_registry
    from lmkernel_conformance.cases import Item
    from lmkernel_conformance.exploration.table import example_case
    from lmkernel_conformance.isolation.watch import watch_backend
    from lmkernel_conformance.runner import attempt
    from lmkernel_conformance.subject import Subject

    parser = argparse.ArgumentParser(prog="python -m lmkernel_conformance.exploration")
    parser.add_argument("example", metavar="EXAMPLE", help="JSON, as a search prints it")
    parser.add_argument("--backend", required=True, metavar="NAME")
    args = parser.parse_args(arguments)
    example = json.loads(args.example)
    registry = default_registry()
    backend = load_backend(args.backend, registry=registry)
    subject = Subject(backend=watch_backend(backend, registry.select_backend(args.backend)))
    case = example_case(example["operation"], example["drawn"])
    outcome = attempt(subject, Item(case, example["dtype"]))
    if outcome.error is not None:
        raise outcome.error
    print("passed")  # noqa: T201 - a command's results are printed
    return 0


if __name__ == "__main__":
    sys.exit(main())
