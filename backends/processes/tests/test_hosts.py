"""Two hosts, as two network namespaces joined by a cable: nothing is shared but the file system."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from several_runs import BACKENDS, SOON, TINY, command, losses, run

if TYPE_CHECKING:
    from collections.abc import Iterator

IP = shutil.which("ip") or ""
pytestmark = pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0 or not IP,
    reason="network namespaces need root and the program ip",
)

CABLE = "cable"
"""The name of its end on either host, which gloo is told: there is no other network."""
HOSTS = Path("/etc/netns")
"""Files of /etc that a namespace has of its own."""
STEPS = ["--steps", "20"]


def ip(*arguments: str) -> None:
    subprocess.run([IP, *arguments], check=True, capture_output=True)


@pytest.fixture
def hosts() -> Iterator[list[str]]:
    """The names of two namespaces, with the addresses 10.77.0.1 and 10.77.0.2."""
    names = [f"lmk{os.getpid()}{end}" for end in "ab"]
    for name in names:
        ip("netns", "add", name)
    try:
        first, second = names
        other = ("peer", "name", CABLE, "netns", second)
        ip("link", "add", CABLE, "netns", first, "type", "veth", *other)
        for number, name in enumerate(names, 1):
            ip("-n", name, "addr", "add", f"10.77.0.{number}/24", "dev", CABLE)
            ip("-n", name, "link", "set", CABLE, "up")
            ip("-n", name, "link", "set", "lo", "up")
            # a host's own name leads to its address, for that is what JAX tells the others
            own = HOSTS / name / "hosts"
            own.parent.mkdir(parents=True)
            own.write_text(f"127.0.0.1 localhost\n10.77.0.{number} {socket.gethostname()}\n")
        yield names
    finally:
        for name in names:
            ip("netns", "del", name)
            shutil.rmtree(HOSTS / name, ignore_errors=True)


def train(host: str, rank: int, backend: str, out: Path) -> subprocess.Popen[str]:
    """Start one process of two on a host, as any launcher on two machines does."""
    program = command("--backend", backend, *TINY, *STEPS, "--out", str(out))
    return subprocess.Popen(
        [IP, "netns", "exec", host, *program],
        env={
            **os.environ,
            "RANK": str(rank),
            "WORLD_SIZE": "2",
            "MASTER_ADDR": "10.77.0.1",
            "MASTER_PORT": "29500",
            "GLOO_SOCKET_IFNAME": CABLE,
        },
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("backend", BACKENDS)
def test_two_hosts_are_as_one(backend: str, hosts: list[str], tmp_path: Path) -> None:
    both = [train(host, rank, backend, tmp_path / "two") for rank, host in enumerate(hosts)]
    try:
        said = [process.communicate(timeout=SOON)[1] for process in both]
    finally:
        for process in both:
            process.kill()
    assert [process.returncode for process in both] == [0, 0], said
    run("--backend", backend, *TINY, *STEPS, "--out", str(tmp_path / "one"))
    # sums of float32 in another order, through twenty small steps
    two, one = (losses(tmp_path / name) for name in ("two", "one"))
    np.testing.assert_allclose([*two.values()], [*one.values()], rtol=1e-5)
