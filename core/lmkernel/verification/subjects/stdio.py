"""A program in any language as a subject: one line of JSON in, one line of JSON out.

The first line says what to open: ``{"checkpoint": PATH, "dtype": NAME}``; its answer says what the
program can do: ``{"capabilities": ["batch", …], "versions": {…}}``, or ``{}``. Every other line is
a question: ``{"name", "ids", "positions", "prefill", "activations"}``, with ``ids`` and
``positions`` ``[batch][time]`` and -1 at padding. Its answer has one of ``logits``, ``log_probs``
and ``token_log_probs`` and maybe ``activations`` by name; or ``{"error": TEXT}``. With the
capability ``tokenizer`` it is also asked ``{"text": TEXT}`` and answers ``{"ids": […]}``.
"""

from __future__ import annotations

import contextlib
import json
import queue
import shlex
import subprocess
import tempfile
import threading
from typing import TYPE_CHECKING, Any, final

from lmkernel.errors import InputError, SubjectError
from lmkernel.verification.answers import read_answer
from lmkernel.verification.subject import CAPABILITIES, Answer, Subject

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from lmkernel.verification.sequences import Question
    from lmkernel.verification.subject import Opening

__all__ = ["StdioSubject"]

_SHOWN = 200
_PATIENCE = 5.0
_LONGEST = 2**28
"""Characters of a line: activations of large models have some hundred million."""
_SOON = 0.05
_AHEAD = 2
"""Lines that are read before they are asked for."""


@final
class StdioSubject(Subject):
    """``stdio:COMMAND``, split as a shell splits words."""

    def __init__(self, opening: Opening) -> None:
        words = shlex.split(opening.argument)
        if not words:
            raise InputError("subject 'stdio': expected stdio:COMMAND")
        self._where, self._limit = f"stdio:{opening.argument}", opening.limit
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the subject
        try:
            self._process = subprocess.Popen(  # noqa: S603 - the user's own command
                words,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                encoding="utf-8",
                errors="replace",
            )
        except OSError as error:
            self._errors.close()
            raise SubjectError(f"{self._where}: {error.strerror or error}") from error
        self._lines: queue.Queue[str] = queue.Queue(_AHEAD)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        try:
            told = self._ask({"checkpoint": str(opening.checkpoint), "dtype": opening.dtype})
            self._can = self._capabilities(told.get("capabilities", ()))
            self._versions = {str(k): str(v) for k, v in dict(told.get("versions", {})).items()}
        except BaseException:
            self.close()
            raise

    def _capabilities(self, told: Iterable[object]) -> frozenset[str]:
        names = frozenset(map(str, told))
        if strange := names - set(CAPABILITIES):
            known = ", ".join(CAPABILITIES)
            raise SubjectError(
                f"{self._where}: expected capabilities among {known}, got {min(strange)!r}"
            )
        return names

    @property
    def capabilities(self) -> frozenset[str]:
        """What the program said."""
        return self._can

    def answer(self, question: Question, *, activations: bool) -> Answer:
        told = self._ask(
            {
                "name": question.name,
                "ids": question.ids.tolist(),
                "positions": question.positions.tolist(),
                "prefill": question.prefill,
                **({"target": question.target.tolist()} if question.target.size else {}),
                "activations": activations and "activations" in self._can,
            }
        )
        return read_answer({**dict(told.pop("activations", {})), **told}, self._where)

    def token_ids(self, text: str) -> Sequence[int] | None:
        if "tokenizer" not in self._can:
            return None
        ids: Sequence[int] = self._ask({"text": text}).get("ids", ())
        return ids

    def versions(self) -> Mapping[str, str]:
        return self._versions

    def close(self) -> None:
        """End the program: it is asked to by the end of its input, and then made to."""
        if self._process.stdin is not None:
            with contextlib.suppress(OSError):
                self._process.stdin.close()
        try:
            self._process.wait(_PATIENCE if self._process.poll() is None else 0)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        while self._reader.is_alive():  # it may wait for a place
            with contextlib.suppress(queue.Empty):
                self._lines.get(timeout=_SOON)
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._errors.close()

    def _read(self) -> None:
        out = self._process.stdout
        while out is not None and (line := out.readline(_LONGEST + 1)):
            self._lines.put(line)
            if len(line) > _LONGEST:
                return
        self._lines.put("")  # the end

    def _ask(self, question: Mapping[str, Any]) -> dict[str, Any]:
        where = self._where
        if "name" in question:
            where = f"{where}, question {question['name']!r}"
        stdin = self._process.stdin
        if stdin is not None:
            with contextlib.suppress(OSError):  # it has ended, as reading will say
                stdin.write(json.dumps(question) + "\n")
                stdin.flush()
        try:
            line = self._lines.get(timeout=self._limit)
        except queue.Empty:
            self._process.kill()
            raise SubjectError(f"{where}: no answer within {self._limit:g} s") from None
        if not line:
            raise SubjectError(f"{where}: it ended with code {self._process.wait()}{self._last()}")
        if len(line) > _LONGEST:
            self._process.kill()
            raise SubjectError(f"{where}: expected a line of at most {_LONGEST} characters")
        try:
            told = json.loads(line)
        except ValueError:
            told = None
        if not isinstance(told, dict):
            got = line.strip()[:_SHOWN]
            raise SubjectError(
                f"{where}: expected one line of JSON, an object, got {got!r}; "
                "what it has to say else belongs on standard error"
            )
        if "error" in told:
            raise SubjectError(f"{where}: {told['error']}")
        return told

    def _last(self) -> str:
        """The last line that it wrote to standard error."""
        self._errors.seek(0)
        lines = self._errors.read().decode("utf-8", "replace").strip().splitlines()
        return f": {lines[-1][:_SHOWN]}" if lines else ""
