"""The formats of training: settings, data, token shards, the folder of a run; and certificates."""

from __future__ import annotations

import functools
import io
import json
from typing import TYPE_CHECKING, Any

import numpy as np
from letters import letters

from fuzzing.blobs import change_bytes
from fuzzing.formats import Format, by_suffix, change_json
from lmkernel.progress import Progress
from lmkernel.settings.file import read_settings, to_toml
from lmkernel.training.data.readers import open_rows
from lmkernel.training.data.shard_writer import write_shards
from lmkernel.training.data.shards import DOCUMENTS, INDEX, file_hash, open_shards
from lmkernel.training.run.folder import RunFolder, open_run
from lmkernel.training.run.keywords import settings_of
from lmkernel.training.run.metrics_log import read_metrics
from lmkernel.training.run.plot import LossCurve
from lmkernel.training.run.session import Session, prepare_session
from lmkernel.training.run.settings import RunSettings

if TYPE_CHECKING:
    import random
    from pathlib import Path

__all__ = ["FORMATS"]

TEXTS = ("the cat", "a mat", "on", "the hat of a cat")
SIZES = {
    "model.width": 8,
    "model.layers": 1,
    "model.heads": 2,
    "model.context": 8,
    "model.vocab": 270,
    "training.steps": 2,
    "training.batch": 2,
}


def write_settings(folder: Path) -> None:
    (folder / "run.toml").write_text(to_toml(RunSettings()))


def use_settings(folder: Path) -> object:
    settings = read_settings(folder / "run.toml", RunSettings)
    return to_toml(settings)


def write_texts(folder: Path, name: str) -> None:
    rows = [
        {"text": t, "label": n % 2, "messages": [{"role": "user"}]} for n, t in enumerate(TEXTS)
    ]
    contents = {
        ".jsonl": "\n".join(map(json.dumps, rows)),
        ".csv": "text,label\n" + "\n".join(f'"{t}, ""x""",{n}' for n, t in enumerate(TEXTS)),
        ".txt": "\n\n".join(TEXTS),
    }
    (folder / name).write_text(contents[name[name.index(".") :]])


def use_rows(folder: Path, name: str) -> object:
    return [[row.values, row.where] for row in open_rows(folder / name, blank_lines=True)]


def write_parquet(folder: Path) -> None:
    (folder / "a.parquet").write_bytes(_parquet(["a", "b"]))


def _parquet(*columns: Any) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    out = io.BytesIO()
    arrays = [column if isinstance(column, pa.Array) else pa.array(column) for column in columns]
    pq.write_table(pa.table(arrays, [f"c{n}" for n in range(len(arrays))]), out)
    return out.getvalue()


def change_parquet(draw: random.Random, path: Path) -> bytes:
    """Columns of types that Python cannot hold every value of, or any bytes."""
    import pyarrow as pa

    if draw.random() < 0.3:
        return change_bytes(draw, path.read_bytes())
    raw = pa.py_buffer(draw.choice((b"\xffab", b"a\0b", b"\xed\xa0\x80")))
    offsets = pa.py_buffer(np.array([0, 3], np.int32).tobytes())
    big = draw.choice((2**31 - 1, -(2**31), 10**6, 0))
    huge = draw.choice((2**63 - 1, -(2**63) + 1, 10**15))
    made = (
        pa.StringArray.from_buffers(1, offsets, raw),
        pa.array([big], pa.int32()).cast(pa.date32()),
        *(pa.array([huge], pa.int64()).cast(pa.timestamp(u)) for u in ("ms", "us", "ns")),
        pa.array([huge], pa.int64()).cast(pa.duration("us")),
        pa.array([1], pa.int64()).cast(pa.timestamp("us", tz=draw.choice(("UTC", "Mars/X", "")))),
        pa.array([[{"a": [1, None]}]]),
        pa.array([[("k", 1), ("k", 2)]], pa.map_(pa.string(), pa.int64())),
        pa.array([float("nan")]),
        pa.array([None]),
    )
    whole = _parquet(*draw.sample(made, draw.choice((1, 2, 3))))
    return change_bytes(draw, whole) if draw.random() < 0.3 else whole


def write_tokens(folder: Path) -> None:
    write_shards(
        folder, TEXTS, letters(), ends=[2], digest="d", size=9, progress=Progress(), shard_tokens=8
    )


def change_tokens(draw: random.Random, path: Path) -> bytes:
    """One file; half of the time the index has its size and hash as if it belonged there."""
    if path.name == INDEX:
        return by_suffix(draw, path)
    data = draw.choice((change_bytes, _other_numbers))(draw, path.read_bytes())
    if draw.random() < 0.5:
        index = json.loads((path.parent / INDEX).read_text())
        beside = path.with_name("beside")
        beside.write_bytes(data)
        receipt = {"bytes": len(data), "blake2b": file_hash(beside)}
        beside.unlink()
        place = index if path.name == DOCUMENTS else index["shards"]
        place["documents" if path.name == DOCUMENTS else path.name] = receipt
        (path.parent / INDEX).write_text(json.dumps(index))
    return data


def _other_numbers(draw: random.Random, data: bytes) -> bytes:
    numbers = np.frombuffer(data, "<i8" if len(data) % 8 == 0 else "<u2").copy()
    numbers[draw.randrange(len(numbers))] = draw.choice(
        (0, 1, -1, 2**40, -(2**62), 2**62, 60000)
    ) % (2 ** (8 * numbers.itemsize - 1))
    return numbers.tobytes()


def use_tokens(folder: Path) -> object:
    tokens = open_shards(folder).tokens()
    return tokens.read(0, len(tokens)), tokens.highest, tokens.text_bytes


@functools.cache
def session(folder: Path) -> Session:
    """A tiny run put together once; the data and the sizes are always the same."""
    return prepare_session(
        settings_of({"data": str(folder / "story.txt")}, defaults={}, overrides=SIZES)
    )


def write_run(folder: Path) -> None:
    """A run of two steps."""
    from lmkernel.training.run.running import run_session

    (folder / "story.txt").write_text("\n".join(f"number {n} comes" for n in range(200)))
    with open_run(folder / "run") as run:
        run.write_settings(to_toml(session(folder).settings))
        run.add_session({"backend": "numpy"})
        run_session(session(folder), run, Progress())


def use_run(folder: Path) -> object:
    """Everything that a resumed run reads, and then writes."""
    settings_of({}, defaults={}, resume=folder / "run")
    metrics = folder / "run" / "metrics.jsonl"
    found = list(read_metrics(metrics)), LossCurve.of(read_metrics(metrics))
    with open_run(folder / "run", resume=True) as run:
        latest = run.latest()
        assert latest is not None
        _, saved = session(folder).resume(latest)
        from lmkernel.training.run.recording import Best

        Best(saved.facts.get("best", {})).judge(9, 0.5)
        run.add_session({"backend": "numpy"}, saved.step)
        run.open_metrics(saved.step).close()
        assert isinstance(run, RunFolder)
    return found


CHECKPOINT = "run/checkpoints/step-000002"
RUN_FILES = (
    *("run/run.toml", "run/environment.json", "run/metrics.jsonl"),
    *(f"{CHECKPOINT}/trainer/state.json", f"{CHECKPOINT}/trainer/optimizer.safetensors"),
    *(f"{CHECKPOINT}/trainer/state.json", f"{CHECKPOINT}/model.safetensors"),
    f"{CHECKPOINT}/config.json",
)


def write_certificate(folder: Path) -> None:
    from lmkernel_conformance.certificate.certificate import complete
    from lmkernel_conformance.certificate.known_failures import KnownFailure
    from lmkernel_conformance.manifest import read_manifest

    manifest = read_manifest()
    # Few of them: what is changed is the form, and to read a whole one takes a tenth of a second.
    keys = manifest.required_keys("inference", ["float32"])[::40]
    rows = [
        {
            "case": k.case,
            "level": "law",
            "dtype": k.dtype,
            "state": "passed",
            "share": 0.2,
            "shares": {"large": 0.2},
            "ulps": 1,
        }
        for k in keys
    ]
    known = KnownFailure(case="a/b", exception="E", reason="r", link="l", expires="2030-01-01")
    about = {
        "profile": "inference",
        "selection": "whole",
        "precision": "p",
        "issued": "2030-01-31",
        "cases": rows,
        "fresh": {"seed": 7, "cases": 60, "failures": []},
        "problems": [],
        "backend": {
            "name": "own",
            "dtypes": ["float32"],
            "unsupported": {},
            "device": "cpu",
            "bitwise": [],
            "distributes": True,
        }
        | {"default_device": "cpu", "requires": [], "distributions": {}, "contract": "1.0"},
        "next": "",
    }
    certificate = complete(about, [known], manifest)
    (folder / "certificate.json").write_text(json.dumps(certificate))
    (folder / "known.toml").write_text(
        '[[failure]]\ncase = "a/b"\nexception = "E"\nreason = "r"\nlink = "l"\n'
        "expires = 2027-01-31\n"
    )


def change_certificate(draw: random.Random, path: Path) -> bytes:
    """Half of the changed certificates have the hash of their new content."""
    from lmkernel_conformance.canonical import with_hash

    data = by_suffix(draw, path)
    if path.suffix == ".json" and draw.random() < 0.5:
        try:
            return json.dumps(with_hash(json.loads(data))).encode()
        except (ValueError, TypeError, AttributeError, RecursionError):
            return change_json(draw, path.read_bytes())
    return data


def use_certificate(folder: Path) -> object:
    from lmkernel_conformance.certificate.certificate import verify
    from lmkernel_conformance.certificate.known_failures import read_known_failures
    from lmkernel_conformance.manifest import read_manifest

    read_known_failures(folder / "known.toml")
    return verify(folder / "certificate.json", read_manifest())


FORMATS = (
    Format("settings", write_settings, ("run.toml",), use_settings),
    *(
        Format(
            f"data {name}",
            functools.partial(write_texts, name=name),
            (name,),
            functools.partial(use_rows, name=name),
        )
        for name in ("a.jsonl", "a.csv", "a.txt")
    ),
    Format(
        "data parquet",
        write_parquet,
        ("a.parquet",),
        functools.partial(use_rows, name="a.parquet"),
        change_parquet,
    ),
    Format(
        "token shards",
        write_tokens,
        (INDEX, DOCUMENTS, "tokens-00000.bin", "tokens-00001.bin"),
        use_tokens,
        change_tokens,
    ),
    Format("run", write_run, RUN_FILES, use_run),
    Format(
        "certificate",
        write_certificate,
        ("certificate.json", "certificate.json", "known.toml"),
        use_certificate,
        change_certificate,
    ),
)
