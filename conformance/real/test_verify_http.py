"""The broken ports through a server that says nothing but the log-probabilities of prompts."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import completions_server
import pytest
from broken_transformers import CONFIGS, PORTS, Broken
from completions_server import broken_logits, serving

import lmkernel as lk

SERVE = f"{sys.executable} {Path(completions_server.__file__)} {{checkpoint}} {{port}}"
LAYOUTS = ("mask", "padding_counted", "position_ids", "cache")
SEEN = [p for p in PORTS if CONFIGS[p.twin]["model_type"] != "bert" and p.id not in LAYOUTS]


@pytest.fixture(scope="module")
def twins(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("twins")
    made = {}
    for name, values in CONFIGS.items():
        (folder / f"{name}.json").write_text(json.dumps(values))
        made[name] = lk.twin(folder / f"{name}.json", folder / name).path
    return made


def ask(twin: Path, url: str, **options: Any) -> Any:
    return lk.verify(twin, subject=f"http:{url}", level="quick", progress=False, options=options)


@pytest.mark.parametrize("port", SEEN, ids=lambda p: p.id)
def test_a_broken_port_is_found_and_named(port: Broken, twins: dict[str, Path]) -> None:
    twin = twins[port.twin]
    with broken_logits(twin, port.id) as logits, serving(logits) as url:
        found = ask(twin, url)
    assert not found.passed
    # log-probabilities of logits that were rounded are no numbers of 16 bits themselves
    looks = "" if port.looks == "dtype.logits" else port.looks
    assert found.diagnoses[:1] == ((looks,) if looks else ()), found


def test_the_layer_is_named_where_the_server_loads_a_twin(twins: dict[str, Path]) -> None:
    serve = f"{SERVE} one_layer"
    found = ask(twins["llama"], "http://127.0.0.1:{port}", serve=serve)
    assert found.parts_at == "layer 2"
    assert found.document["parting"]["how"] == "truncation"
