"""A server that completes prompts as OpenAI's does, as a subject.

It is sent token ids and asked for ``echo`` and ``logprobs``: the log-probability of each token,
given those before it, is all that it says. The option ``model`` names the model that it is asked
for. With ``serve``, a command with ``{checkpoint}`` and ``{port}`` in it, the server is started
here, on a checkpoint of ours, which allows it to be asked about the first layers too.
"""

from __future__ import annotations

import json
import shlex
import socket
import subprocess
import time
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any, final

import numpy as np

from lmkernel.errors import InputError, SubjectError
from lmkernel.verification.subject import Answer, Subject

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lmkernel.verification.sequences import Question
    from lmkernel.verification.subject import Opening

__all__ = ["HttpSubject"]

_PAUSE, _SHOWN = 0.1, 200
_MODELS, _COMPLETIONS = "/models", "/completions"


@final
class HttpSubject(Subject):
    """``http:URL``, where URL ends before ``/completions``: ``http:http://localhost:8000/v1``."""

    def __init__(self, opening: Opening) -> None:
        if not opening.argument.startswith(("http://", "https://")):
            raise InputError(
                "subject 'http': expected http:URL such as http:http://localhost:8000/v1, "
                f"got {opening.argument!r}"
            )
        self._opening, self._server = opening, opening.options.get("serve", "")
        port = _free_port() if self._server else 0
        self._url = opening.argument.replace("{port}", str(port)).rstrip("/")
        self._process: subprocess.Popen[bytes] | None = None
        if self._server:
            command = self._server.format(checkpoint=opening.checkpoint, port=port)
            self._process = subprocess.Popen(  # noqa: S603 - the user's own command
                shlex.split(command), stdout=subprocess.DEVNULL
            )
        try:
            self._model = opening.options.get("model") or self._first_model()
        except BaseException:
            self.close()
            raise

    @property
    def capabilities(self) -> frozenset[str]:
        """Another checkpoint needs a server that is started here."""
        return frozenset({"checkpoints"} if self._server else ())

    def answer(self, question: Question, *, activations: bool) -> Answer:
        del activations
        [row] = question.rows
        asked = {
            "model": self._model,
            "prompt": list(row.ids),
            "max_tokens": 1,  # some servers refuse none
            "temperature": 0,
            "echo": True,
            "logprobs": 1,
        }
        told = self._send(_COMPLETIONS, asked)
        try:
            values = told["choices"][0]["logprobs"]["token_logprobs"]
            # the first token follows nothing, and what was generated is not asked about
            found = np.array([*values[1 : len(row.ids)], np.nan], np.float64)
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise SubjectError(
                f"{self._url}: expected choices[0].logprobs.token_logprobs of the prompt, with "
                f"echo; got {json.dumps(told)[:_SHOWN]}"
            ) from error
        if len(found) != len(row.ids):
            raise SubjectError(
                f"{self._url}: expected log-probabilities of {len(row.ids)} tokens of the prompt, "
                f"got {len(values)}: does the server know echo, and take token ids?"
            )
        return Answer(found[None], "token_log_probs")

    def versions(self) -> Mapping[str, str]:
        return {"model": self._model}

    def close(self) -> None:
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(5)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()

    def _first_model(self) -> str:
        """The first model that the server lists, once it answers."""
        end = time.monotonic() + (self._opening.limit if self._process is not None else 0)
        while True:
            try:
                return str(self._send(_MODELS)["data"][0]["id"])
            except SubjectError:
                ended = self._process is not None and self._process.poll() is not None
                if ended or time.monotonic() >= end:
                    raise
                time.sleep(_PAUSE)
            except (KeyError, IndexError, TypeError) as error:
                text = f"{self._url}{_MODELS}: expected a list of models; say --option model=NAME"
                raise SubjectError(text) from error

    def _send(self, path: str, body: Mapping[str, Any] | None = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(  # noqa: S310 - http and https alone, as tested
            self._url + path, data, {"Content-Type": "application/json"}
        )
        try:
            with urllib.request.urlopen(request, timeout=self._opening.limit) as got:  # noqa: S310 - as above
                return json.loads(got.read())
        except urllib.error.HTTPError as error:
            said = error.read().decode("utf-8", "replace").strip()[:_SHOWN]
            raise SubjectError(f"{self._url}{path}: {error.code} {error.reason}: {said}") from error
        except (OSError, ValueError) as error:
            raise SubjectError(f"{self._url}{path}: {error}") from error


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])
