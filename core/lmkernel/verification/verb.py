"""Verify: is somebody else's implementation of a checkpoint right, and where does it part?"""

from __future__ import annotations

import json
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from lmkernel.arguments import require_flag, require_known
from lmkernel.atomic import write_whole
from lmkernel.errors import CheckpointError, InputError, SubjectError
from lmkernel.origin import open_origin
from lmkernel.paths import user_path
from lmkernel.progress import as_progress
from lmkernel.verification.arithmetic import DTYPES
from lmkernel.verification.defects import candidates
from lmkernel.verification.describing import describe_row, document_of
from lmkernel.verification.diagnosing import diagnose, diagnose_digits
from lmkernel.verification.guards import (
    Guard,
    check_repeat,
    check_token_ids,
    check_values,
    digits_of,
)
from lmkernel.verification.judging import judge
from lmkernel.verification.layouts import check_layouts, diagnose_layouts, is_right
from lmkernel.verification.opening import OpenSubject, find_subject
from lmkernel.verification.outcome import Verification
from lmkernel.verification.part import Part, part_of
from lmkernel.verification.parting import first_place, layer_by_truncation
from lmkernel.verification.prompts import LEVELS, choose_prompts, recorded_prompts
from lmkernel.verification.shift import with_shift_taken_out
from lmkernel.verification.sources import choose_sources, with_pictures

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Mapping, Sequence

    from lmkernel.progress import Progress, ProgressLike
    from lmkernel.tokenizers.tokenizer import Tokenizer
    from lmkernel.verification.diagnosing import Diagnosis
    from lmkernel.verification.guards import Answers
    from lmkernel.verification.judging import Judgement
    from lmkernel.verification.parting import Parting
    from lmkernel.verification.prompts import Prompts

__all__ = ["verify", "write_prompts"]


def verify(
    checkpoint: str | os.PathLike[str],
    *,
    subject: str | Callable[..., Any],
    dtype: str = "float32",
    level: str = "usual",
    part: str = "texts",
    prompts: Sequence[str] = (),
    ids: Sequence[Sequence[int]] = (),
    options: Mapping[str, str] = MappingProxyType({}),
    limit: float = 300.0,
    diagnosing: bool = True,
    progress: ProgressLike = True,
) -> Verification:
    """Compare somebody else's implementation of a checkpoint with float64, place by place.

    Args:
        checkpoint: a name, a folder or a GGUF file.
        subject: ``NAME`` or ``NAME:ARGUMENT``, such as ``"transformers"``, ``"torch"`` (one of our
            backends), ``"python:module:function"``, ``"file:logits.npz"`` or ``"stdio:COMMAND"``;
            or a function itself, of ids, as `lmkernel.verification.subjects.python` says.
        dtype: of the subject's computation: float32, bfloat16 or float16; or tf32, which is
            float32 with products of numbers of 11 binary digits.
        level: ``"quick"``, ``"usual"`` or ``"thorough"``: how many prompts, and how long.
        part: of a model of texts and pictures, which tower: ``"texts"`` or ``"pictures"``.
        prompts: texts that are asked besides.
        ids: prompts as token ids, which are asked besides.
        options: the subject's own, by name.
        limit: the seconds that one answer may take, where that can be enforced.
        diagnosing: whether a difference is looked into: at which layer, and like which defect.
        progress: True reports on standard error, False not at all; or a function to be called.

    Returns:
        The verdict and all that it follows from; ``passed`` says whether the subject is right.

    Raises:
        UnknownNameError, MissingDependencyError: the checkpoint or the subject is not there.
        SubjectError: the subject cannot be asked, or its answer cannot be compared.
        InputError: prompts that the model does not take, or a model of another structure.
    """
    require_flag("diagnosing", diagnosing)
    for what, given, known in (("level", level, LEVELS), ("dtype", dtype, DTYPES)):
        require_known(what, given, known)
    name, report = find_subject(subject), as_progress(progress)
    verified = part_of(open_origin(checkpoint, progress=report), part)
    tokenizer = _tokenizer(verified)
    asked = _choose(verified, tokenizer, level, prompts, ids)

    def open_subject(of: Part) -> OpenSubject:
        path = of.origin.own_files.path
        return OpenSubject(name, path, of.config, dtype=dtype, options=options, limit=limit)

    with open_subject(verified) as opened:
        able, dtype = opened.capabilities, opened.arithmetic
        asked = _prompts_to_ask(opened, verified, asked, own=bool(prompts or ids))
        first = check_token_ids(opened, tokenizer, asked.texts)
        answers: Answers = {}
        todo = [q for q in asked.questions if q.needs <= able]
        if not todo:
            lacking = ", ".join(sorted(asked.questions[0].needs - able))
            raise SubjectError(f"{name.text}: every question of this model needs {lacking}")
        with report.bar(f"asking {name.text}", len(todo), "question") as advance:
            for question in todo:
                wanted = not question.prefill
                answers = {**answers, question.name: opened.ask(question, activations=wanted)}
                advance(1)
        repeated = check_repeat(opened, todo, answers)
        versions = opened.versions()  # a server says its own with its answers
    size = 0 if verified.config.head is None else verified.config.head.size
    answers, kind, guards = check_values(answers, size, dtype)
    found = judge(verified, asked, answers, kind, dtype)
    if not found.cells:
        raise SubjectError(
            f"{name.text}: in {dtype} every logit hangs on a choice of experts that rounding alone "
            "may change, and no activations are given; expected them, or --dtype float32"
        )
    found, answers, shift = with_shift_taken_out(verified, asked, answers, found, dtype)
    guards = [
        first,
        repeated,
        *guards,
        *found.guards,
        shift,
        *check_layouts(asked, answers, found.cells),
    ]
    parting = first_place(found.cells)
    looks: tuple[Diagnosis, ...] = ()
    if parting is not None and diagnosing:
        cut = "checkpoints" in able and not verified.prefix
        if parting.how == "logits" and cut and _is_wrong_alone(asked, found):
            try:
                parting = layer_by_truncation(verified, asked, open_subject, dtype) or parting
            except (CheckpointError, SubjectError) as error:  # what was found so far stands
                text = f"the first layers alone cannot be asked about: {error}"
                guards.append(Guard("layer", "note", text))
        looks = _diagnose(verified, asked, answers, found, dtype, parting, report)
    about = {"name": name.text, "dtype": dtype, "versions": versions, "options": dict(options)}
    return Verification(
        document_of(verified, about, level, asked, answers, found, guards, parting, looks)
    )


def write_prompts(
    checkpoint: str | os.PathLike[str],
    path: str | os.PathLike[str],
    *,
    level: str = "usual",
    part: str = "texts",
    prompts: Sequence[str] = (),
    ids: Sequence[Sequence[int]] = (),
) -> int:
    """Write the rows that a subject ``file:`` is to answer, a line of JSON each.

    Arguments are those of `verify`.

    Returns:
        The number of rows.
    """
    verified = part_of(open_origin(checkpoint), part)
    asked = _choose(verified, _tokenizer(verified), level, prompts, ids)
    if any(row.source is not None for row in asked.rows):
        raise InputError(f"{verified.origin.where}: pictures and sounds are not written")
    lines = [json.dumps(describe_row(r) | {"positions": list(r.positions)}) for r in asked.rows]
    write_whole(user_path(path), ("\n".join(lines) + "\n").encode(), InputError)
    return len(lines)


def _choose(
    part: Part,
    tokenizer: Tokenizer | None,
    level: str,
    texts: Sequence[str],
    ids: Sequence[Sequence[int]],
) -> Prompts:
    pad = part.origin.described.values.get("pad_token_id")
    pad = pad if isinstance(pad, int) else None
    if part.config.embedding.vocab:
        made = choose_prompts(part.config, tokenizer, level, texts=texts, ids=ids, pad=pad)
        return with_pictures(made, part.config) if part.config.sight else made
    if texts or ids:
        raise InputError("prompts: expected none, as the model reads pictures or sounds")
    return choose_sources(part.config, level, pad=pad)


def _prompts_to_ask(opened: OpenSubject, part: Part, chosen: Prompts, *, own: bool) -> Prompts:
    """The prompts that were chosen, or those that the subject has answered already."""
    rows = opened.own_rows()
    if rows and own:
        raise InputError(
            f"prompts: {opened.name.text} holds answers to rows of its own, and no others can be "
            "asked; leave out prompts and ids"
        )
    return recorded_prompts(part.config, rows) if rows else chosen


def _tokenizer(part: Part) -> Tokenizer | None:
    """The checkpoint's tokenizer; None where there is none, or the part reads no tokens."""
    path = part.origin.own_files.path
    if not part.config.embedding.vocab or (
        path.is_dir() and not (path / "tokenizer.json").exists()
    ):
        return None
    return part.origin.tokenizer


def _is_wrong_alone(prompts: Prompts, found: Judgement) -> bool:
    """Whether some row is wrong by itself, all at once: a cache or a mask has no layer."""
    return any(
        not is_right(found.cells, row.name)
        for row in prompts.rows
        if any(c.question == row.name for c in found.cells)
    )


def _diagnose(
    part: Part,
    prompts: Prompts,
    answers: Answers,
    found: Judgement,
    dtype: str,
    parting: Parting,
    progress: Progress,
) -> tuple[Diagnosis, ...]:
    if (short := digits_of(answers, dtype)) is not None:
        return tuple(diagnose_digits(part, prompts, answers, found, short))
    if not _is_wrong_alone(prompts, found):
        return tuple(diagnose_layouts(part, prompts, answers, found, dtype))
    tried = candidates(part.config, parting.layer)
    looks = diagnose(part, prompts, answers, found, dtype, tried, progress)
    return looks or tuple(diagnose_layouts(part, prompts, answers, found, dtype))
