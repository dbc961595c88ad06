"""A server that completes prompts as OpenAI's does, as a subject.

It is sent token ids and asked for ``echo`` and ``logprobs``: the log-probability of each token,
given those before it, is all that it says. One that does not know ``echo`` says the log-probability
of the token that it generates, which is the likeliest: it is asked so after each of the last tokens
of a row, as many as the option ``last`` says. The option ``model`` names the model that it is asked
for. With ``serve``, a command with ``{checkpoint}`` and ``{port}`` in it, the server is started
here, on a checkpoint of ours, which allows it to be asked about the first layers too. With
``batch=1`` it is sent several prompts at once, too.
"""

from __future__ import annotations

import json
import shlex
import socket
import subprocess
import time
import urllib.error
import urllib.request
from http.client import HTTPException
from typing import TYPE_CHECKING, Any, final

import numpy as np

from lmkernel.errors import InputError, SubjectError
from lmkernel.verification.subject import Answer, Subject

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from http.client import HTTPResponse

    from lmkernel.verification.sequences import Question
    from lmkernel.verification.subject import Opening

__all__ = ["HttpSubject"]

_PAUSE, _SHOWN, _LAST = 0.1, 200, 16
_PIECE, _LARGEST = 2**16, 2**28
"""Bytes that are read at once, and of an answer."""
_OPTIONS = ("model", "serve", "last", "batch")
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
        if strange := set(opening.options) - set(_OPTIONS):
            raise InputError(
                f"subject 'http': expected options among {', '.join(_OPTIONS)}, "
                f"got {min(strange)!r}"
            )
        self._last, self._echoes = _count(opening.options.get("last", str(_LAST))), True
        self._opening, self._server = opening, opening.options.get("serve", "")
        self._batches = opening.options.get("batch", "0") not in ("", "0")
        port = _free_port() if self._server else 0
        self._url = opening.argument.replace("{port}", str(port)).rstrip("/")
        self._process: subprocess.Popen[bytes] | None = None
        self._told: dict[str, str] = {}
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
        """Another checkpoint needs a server that is started here, several rows an option."""
        told = {"checkpoints": self._server, "batch": self._batches}
        return frozenset(name for name, can in told.items() if can)

    def answer(self, question: Question, *, activations: bool) -> Answer:
        del activations
        if self._echoes:
            told = self._log_probs([row.ids for row in question.rows], echo=True)
            # one alone is of what it generated
            self._echoes = any(len(values) > 1 or values == [None] for values in told)
        if not self._echoes and len(question.rows) > 1:
            raise SubjectError(f"{self._url}: option batch needs a server that knows echo")
        return self._echoed(question, told) if self._echoes else self._generated(question)

    def _echoed(self, question: Question, told: Sequence[Sequence[Any]]) -> Answer:
        """What was said of the tokens of prompts."""
        made = np.full(question.ids.shape, np.nan)
        for number, (row, values) in enumerate(zip(question.rows, told, strict=True)):
            count = len(row.ids)
            if len(values) < count:
                raise SubjectError(
                    f"{self._url}: expected log-probabilities of {count} tokens of the "
                    f"prompt, got {len(values)}: does the server take token ids?"
                )
            # the first token follows nothing, and what was generated is not asked about
            made[number, question.columns(number)] = [*values[1:count], np.nan]
        return Answer(made, "token_log_probs")

    def _generated(self, question: Question) -> Answer:
        """What is said of the token after each of the last ones."""
        [row] = question.rows
        first = max(0, len(row.ids) - self._last)
        made = np.full((1, len(row.ids)), np.nan)
        for t in range(first, len(row.ids)):
            made[0, t] = self._best_log_prob(row.ids[: t + 1])
        return Answer(made, "best_log_probs", first=first)

    def _best_log_prob(self, ids: Sequence[int]) -> float:
        """The log-probability of the likeliest token after some."""
        [values] = self._log_probs([ids], echo=False)
        if len(values) != 1:
            raise SubjectError(
                f"{self._url}: expected the log-probability of 1 generated token after {len(ids)} "
                f"tokens, got {len(values)}: does the server say those of the end, and how many "
                "tokens does it generate?"
            )
        return float(values[0])

    def _log_probs(self, rows: Sequence[Sequence[int]], *, echo: bool) -> list[list[Any]]:
        """What the server says of each prompt's tokens, if it knows echo, and of one more."""
        asked = {
            "model": self._model,
            "prompt": [list(ids) for ids in rows] if len(rows) > 1 else list(rows[0]),
            "max_tokens": 1,  # some servers refuse none
            "temperature": 0,
            "logprobs": 1,
        }
        told = self._send(_COMPLETIONS, {**asked, "echo": True} if echo else asked)
        try:
            if mark := told.get("system_fingerprint"):
                self._told["system_fingerprint"] = str(mark)
            by_index = {one.get("index", 0): one["logprobs"] for one in told["choices"]}
            return [_numbers(by_index[i]) for i in range(len(rows))]
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise SubjectError(
                f"{self._url}: expected {len(rows)} choices, each with its index and logprobs with "
                f"token_logprobs or content, got {json.dumps(told)[:_SHOWN]}"
            ) from error

    def versions(self) -> Mapping[str, str]:
        """The model, and what the server calls its own state."""
        return {"model": self._model, **self._told}

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
                return json.loads(_whole(got, self._opening.limit))
        except urllib.error.HTTPError as error:
            said = error.read(_PIECE).decode("utf-8", "replace").strip()[:_SHOWN]
            raise SubjectError(f"{self._url}{path}: {error.code} {error.reason}: {said}") from error
        except (OSError, ValueError, HTTPException) as error:
            raise SubjectError(f"{self._url}{path}: {error!s:.{_SHOWN}}") from error


def _whole(answer: HTTPResponse, seconds: float) -> bytes:
    """An answer; `ValueError` for one that has no end, or takes longer than it may."""
    data, end = bytearray(), time.monotonic() + seconds
    while piece := answer.read1(_PIECE):
        data += piece
        if len(data) > _LARGEST:
            raise ValueError(f"expected an answer of at most {_LARGEST} bytes, got more")
        if time.monotonic() > end:
            raise ValueError(f"expected an answer within {seconds:g} s, got its beginning")
    return bytes(data)


def _numbers(said: Mapping[str, Any]) -> list[float | None]:
    """The log-probabilities of one choice; the first token may have none."""
    if "token_logprobs" not in said:  # as chat completions, and llama.cpp's server, say it
        return [float(one["logprob"]) for one in said["content"]]
    return [None if x is None else float(x) for x in said["token_logprobs"]]


def _count(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise InputError(f"subject 'http': option last: expected a count of tokens, got {text!r}")
    return int(text)


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])
