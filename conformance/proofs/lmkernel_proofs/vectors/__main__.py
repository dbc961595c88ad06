"""``python -m lmkernel_proofs.vectors``: write the files whose makers are installed."""

from __future__ import annotations

import argparse
from pathlib import Path

from lmkernel_conformance.canonical import HASH
from lmkernel_proofs.vectors import FILES, FOLDER, read_vectors
from lmkernel_proofs.vectors.makers import needs, write_vectors


def main() -> None:
    """Write each file and print its hash, which belongs in the errata."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=FOLDER, help="the folder")
    folder = parser.parse_args().out
    for name in FILES:
        if missing := needs(name):
            print(f"{name}: left as it is, without {' and '.join(missing)}")  # noqa: T201 - a command's results are printed
            continue
        write_vectors(name, folder)
        print(f'"{name}" = "{read_vectors(name, folder)[HASH]}"')  # noqa: T201 - the same


if __name__ == "__main__":
    main()
