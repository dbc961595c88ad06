"""``lmkernel plan``: what training a model would ask of each device of a mesh."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, final

from lmkernel.cli.command import Command
from lmkernel.cli.style import painter

if TYPE_CHECKING:
    import argparse

__all__ = ["Plan"]


@final
class Plan(Command):
    """Bytes that each device holds and sends in a step, and the least time that a step takes."""

    def configure(self, parser: argparse.ArgumentParser) -> None:
        """The model, the devices, and the sizes of a step."""
        parser.add_argument(
            "model", metavar="MODEL", help="a name, a folder, a GGUF file, or a config.json alone"
        )
        parser.add_argument(
            "--mesh", default="", metavar="AXES", help="such as data=8,model=4; default one device"
        )
        parser.add_argument(
            "--hardware",
            default="h100",
            metavar="NAME",
            help="of a device, or its flops, memory, bandwidth and network: h100,network=5e10",
        )
        parser.add_argument(
            "--batch", type=int, default=8, metavar="N", help="rows of a micro-batch; default 8"
        )
        parser.add_argument(
            "--context", type=int, metavar="N", help="positions of a row; default the model's"
        )
        parser.add_argument(
            "--accumulate", type=int, default=1, metavar="N", help="micro-batches; default 1"
        )
        parser.add_argument(
            "--optimizer", default="adamw", metavar="NAME", help="which; default adamw"
        )
        parser.add_argument(
            "--dtype", default="float32", metavar="NAME", help="of computation; default float32"
        )
        parser.add_argument("--json", action="store_true", help="print one object")

    def run(self, args: argparse.Namespace) -> int:
        """Plan."""
        from lmkernel.training.planning.verb import plan

        found = plan(
            args.model,
            mesh=args.mesh,
            hardware=args.hardware,
            batch=args.batch,
            context=args.context,
            accumulate=args.accumulate,
            optimizer=args.optimizer,
            dtype=args.dtype,
        )
        print(json.dumps(found.json()) if args.json else found.text(painter(sys.stdout)))
        return 0
