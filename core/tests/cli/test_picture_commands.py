"""Commands that read pictures: labels, vectors, and what is refused."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from picture_models import LABELS, picture_model, save_pictures
from seeing_models import seeing_model
from training_files import done, said

from lmkernel import caption

if TYPE_CHECKING:
    from pathlib import Path

Capture = pytest.CaptureFixture[str]


def lines(capsys: Capture, *arguments: object) -> list[Any]:
    capsys.readouterr()
    done(*arguments)
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_classify_by_labels(tmp_path: Path, capsys: Capture) -> None:
    model = picture_model(tmp_path / "m", "clip")
    paths = save_pictures(tmp_path)
    found = lines(capsys, "classify", tmp_path / "m", "--labels", "cat, dog,bird", *paths)
    assert found == model.classify_pictures(paths, LABELS).json()
    own = ("--labels", "cat,dog", "--template", "{}!")
    found = lines(capsys, "classify", tmp_path / "m", *own, "--batch", 1, paths[1])
    assert found == model.classify_pictures([paths[1]], ["cat", "dog"], template="{}!").json()


def test_classify_by_a_head(tmp_path: Path, capsys: Capture) -> None:
    model = picture_model(tmp_path / "m", "vit")
    paths = save_pictures(tmp_path)
    assert (
        lines(capsys, "classify", tmp_path / "m", *paths) == model.classify_pictures(paths).json()
    )


def test_embed_pictures_and_texts(tmp_path: Path, capsys: Capture) -> None:
    model = picture_model(tmp_path / "m", "clip")
    paths = save_pictures(tmp_path)
    found = lines(capsys, "embed", tmp_path / "m", "--pictures", *paths)
    assert [one["picture"] for one in found] == [str(path) for path in paths]
    np.testing.assert_array_equal(
        np.array([one["vector"] for one in found], np.float32), model.embed_pictures(paths)
    )
    [text] = lines(capsys, "embed", tmp_path / "m", "cat")
    np.testing.assert_array_equal(np.array(text["vector"], np.float32), model.embed("cat"))


def test_a_files_name_as_a_text_is_told(
    tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = picture_model(tmp_path / "m", "clip")
    [path] = save_pictures(tmp_path, 1)
    monkeypatch.chdir(tmp_path)
    capsys.readouterr()
    done("embed", "m", path.name)
    out, err = capsys.readouterr()
    assert err == (
        f"{path.name}: taken as a text; with --pictures, the picture in this file is embedded\n"
    )
    found = np.array(json.loads(out)["vector"], np.float32)
    np.testing.assert_array_equal(found, model.embed(path.name))


def test_embed_into_a_file_and_by_nearness(tmp_path: Path, capsys: Capture) -> None:
    model = picture_model(tmp_path / "m", "vit")
    paths = save_pictures(tmp_path)
    done("embed", tmp_path / "m", *paths, "--out", tmp_path / "v.npz", "--normalize")
    with np.load(tmp_path / "v.npz") as made:
        assert made["pictures"].tolist() == [str(path) for path in paths]
        expected = model.embed_pictures(paths, normalize=True)
        np.testing.assert_array_equal(made["vectors"], expected)
    found = lines(capsys, "embed", tmp_path / "m", *paths, "--similar", 1)
    assert found[0]["picture"] == str(paths[0])
    assert found[0]["similar"][0]["picture"] in map(str, paths[1:])


@pytest.mark.parametrize(
    ("kind", "arguments", "expected"),
    [
        ("clip", ("classify",), "labels: the model tells apart what they say"),
        ("clip", ("classify", "--labels", "a,,b"), "labels: the model tells apart"),
        ("clip", ("classify", "--labels", "a,b", "--truncate"), "expected texts, got pictures"),
        ("vit", ("classify", "--labels", "a,b"), "labels: expected none"),
        ("vit", ("embed", "--prompt", "query"), "--prompt: expected none before pictures"),
    ],
)
def test_what_is_refused(
    kind: str, arguments: tuple[str, ...], expected: str, tmp_path: Path, capsys: Capture
) -> None:
    picture_model(tmp_path / "m", kind)
    command, *options = arguments
    [path] = save_pictures(tmp_path, 1)
    assert expected in said(capsys, command, tmp_path / "m", path, *options)


def test_a_file_that_is_no_picture_is_named(tmp_path: Path, capsys: Capture) -> None:
    picture_model(tmp_path / "m", "vit")
    (tmp_path / "a.txt").write_text("a text")
    told = said(capsys, "classify", tmp_path / "m", tmp_path / "a.txt")
    assert f"{tmp_path / 'a.txt'}: expected a picture (PNG, JPEG" in told
    assert "cannot be read" in said(capsys, "embed", tmp_path / "m", tmp_path / "none.png")


def test_captions_of_files_and_of_rows(tmp_path: Path, capsys: Capture) -> None:
    model = seeing_model(tmp_path / "m", "smolvlm")
    paths = save_pictures(tmp_path)
    own = ("--question", "What?", "--max-new-tokens", 6)
    expected = caption(model, paths, "What?", max_new_tokens=6, progress=False).json()
    assert lines(capsys, "caption", tmp_path / "m", *paths, *own, "--json") == expected
    rows = tmp_path / "rows.jsonl"
    rows.write_text("".join(json.dumps({"image": str(path)}) + "\n" for path in paths))
    data = ("--data", rows, "--batch", 2, "--json")
    assert lines(capsys, "caption", tmp_path / "m", *own, *data) == expected
    done("caption", tmp_path / "m", paths[0], *own)
    assert capsys.readouterr().out == " ".join(expected[0]["text"].split()) + "\n"
    assert "got both" in said(capsys, "caption", tmp_path / "m", paths[0], "--data", rows)


def test_chat_is_shown_a_picture(tmp_path: Path, capsys: Capture) -> None:
    model = seeing_model(tmp_path / "m", "llava")
    [path] = save_pictures(tmp_path, 1)
    own = ("--model", tmp_path / "m", "--max-new-tokens", 6)
    done("chat", "What?", "--image", path, *own)
    expected = model.chat("What?", images=path, max_new_tokens=6).text
    assert capsys.readouterr().out.strip() == expected.strip()
    assert "no.png" in said(capsys, "chat", "What?", "--image", tmp_path / "no.png", *own)
