"""The files that start a server: what they copy is there, and what they run is understood."""

from __future__ import annotations

import argparse
import json
import re
import shlex
from pathlib import Path

from lmkernel_serve.command import Serve

from lmkernel.plugins import default_registry

DEPLOY = Path(__file__).parents[1] / "deploy"
ROOT = DEPLOY.parents[2]


def arguments_of(words: list[str]) -> argparse.Namespace:
    """The arguments of ``lmkernel serve``."""
    assert [Path(words[0]).name, words[1]] == ["lmkernel", "serve"]
    parser = argparse.ArgumentParser()
    Serve(default_registry()).configure(parser)
    return parser.parse_args(words[2:])


def test_an_image_is_made_of_what_is_there() -> None:
    text = (DEPLOY / "Dockerfile").read_text()
    for line in re.findall(r"^COPY (.+)$", text, re.MULTILINE):
        *sources, _ = line.split()
        assert all((ROOT / source).exists() for source in sources), line
    entry, usual = (
        json.loads(found[0])
        for found in (
            re.findall(rf"^{word} (\[.+\])$", text, re.MULTILINE) for word in ("ENTRYPOINT", "CMD")
        )
    )
    args = arguments_of([*entry, *usual])
    assert (args.host, args.port, args.models) == ("0.0.0.0", 8000, ["smollm2-135m-instruct"])  # noqa: S104 - of a container
    [health] = re.findall(r'^ +CMD \["python", "-c", (".+")\]$', text, re.MULTILINE)
    assert f":{args.port}/health" in json.loads(health)
    compile(json.loads(health), "health", "exec")


def test_a_unit_leaves_time_to_finish() -> None:
    text = (DEPLOY / "lmkernel-serve.service").read_text()
    lines = dict(
        line.split("=", 1) for line in text.splitlines() if "=" in line and not line.startswith("#")
    )
    args = arguments_of(shlex.split(lines["ExecStart"]))
    assert args.host == "127.0.0.1"
    assert float(lines["TimeoutStopSec"]) > args.timeout + 1
    assert lines["KillSignal"] == "SIGTERM"
    assert lines["Environment"].startswith("LMKERNEL_HOME=%S/" + lines["StateDirectory"])
