"""The command: it starts, ends in order, and refuses what makes no sense."""

from __future__ import annotations

import contextlib
import http.client
import os
import re
import signal
import socket
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import openai
import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from lmkernel.language_model import LanguageModel


def status_of(address: str, host: str) -> int:
    """The status of an answer to who asks under a name."""
    where = address.removeprefix("http://")
    with contextlib.closing(http.client.HTTPConnection(where)) as connection:
        connection.request("GET", "/v1/models", headers={"Host": host})
        return connection.getresponse().status


def test_the_command_serves_and_ends_in_order(tmp_path: Path, tiny: Any) -> None:
    tiny(tmp_path / "tiny")
    program = "import sys; from lmkernel.cli.main import main; sys.exit(main())"
    command = [
        sys.executable,
        "-W",
        "error",
        "-c",
        program,
        "serve",
        f"mine={tmp_path / 'tiny'}",
        "--port",
        "0",
    ]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=dict(os.environ))
    try:
        said = process.stderr.readline() if process.stderr else ""
        found = re.search(r"mine at (http://\S+)/v1", said)
        assert found, said
        assert status_of(found[1], "evil.example") == 421
        with openai.OpenAI(base_url=f"{found[1]}/v1", api_key="-", max_retries=0) as client:
            more = {"extra_body": {"ignore_eos": True}, "stream": True}
            stream = client.completions.create(model="mine", prompt="the", max_tokens=200, **more)
            chunks = [next(iter(stream))]
            process.send_signal(signal.SIGTERM)
            chunks += list(stream)  # what runs is finished
        assert chunks[-1].choices[0].finish_reason == "length"
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--host", "0.0.0.0"], "set a key with --key or LMKERNEL_SERVE_KEY"),  # noqa: S104 - it is refused
        (["--max-batch", "0"], "--max-batch: expected a whole number of at least 1, got 0"),
        (["--port", "99999"], "--port: expected a whole number in 0 … 65535, got 99999"),
        (["--port", "-1"], "--port: expected a whole number in 0 … 65535, got -1"),
        (["--host", "no.such.host.invalid", "--key", "k"], "no.such.host.invalid:8000: cannot be"),
        (["--timeout", "nan"], "--timeout: expected a positive number"),
        (["x=smollm2", "x=other"], "two models are called 'x'"),
    ],
)
def test_commands_that_make_no_sense_are_refused(
    arguments: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from lmkernel.cli.main import main

    monkeypatch.delenv("LMKERNEL_SERVE_KEY", raising=False)
    assert main(["serve", "smollm2-135m-instruct", *arguments]) == 1
    assert message in " ".join(capsys.readouterr().err.split())


def test_a_port_that_is_taken_is_refused_as_other_errors_are(
    capsys: pytest.CaptureFixture[str],
) -> None:
    from lmkernel.cli.main import main

    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        assert main(["serve", "no-such-model", "--port", str(port)]) == 1
    said = capsys.readouterr().err
    assert said.startswith(f"lmkernel: error: 127.0.0.1:{port}: cannot be listened at: ")


def test_the_chat_command_talks_with_a_server(
    address: str, model: LanguageModel, capsys: pytest.CaptureFixture[str]
) -> None:
    from lmkernel.cli.main import main

    arguments = ["chat", "the cat?", "--url", address, "--max-new-tokens", "20"]
    assert main(arguments) == 0
    assert capsys.readouterr().out == model.chat("the cat?", max_new_tokens=20).text + "\n"
