"""SmolLM2 behind the command, on torch."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, NamedTuple

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

MODEL = "smollm2-135m-instruct"


class Running(NamedTuple):
    """A server that runs."""

    address: str
    pid: int


@pytest.fixture(scope="session")
def server() -> Iterator[Running]:
    subprocess.run([sys.executable, "-m", "lmkernel.cli", "pull", MODEL], check=True)
    command = [sys.executable, "-m", "lmkernel.cli", "serve", MODEL]
    command += ["--backend", "torch", "--port", "0", "--max-batch", "16", "--timeout", "3600"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=dict(os.environ))
    try:
        said = process.stderr.readline() if process.stderr else ""
        found = re.search(r"at (http://\S+/v1)", said)
        assert found, said
        yield Running(found[1], process.pid)
        process.send_signal(signal.SIGTERM)
        assert process.wait(600) == 0
    finally:
        process.kill()
        process.communicate()


@pytest.fixture(scope="session")
def address(server: Running) -> str:
    return server.address
