"""A small model with a byte-level tokenizer, served on a port of its own, and ways to ask it."""

from __future__ import annotations

import http.client
import json
import threading
import time
import urllib.request
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

import openai
import pytest
import uvicorn
from inspected import loaded
from lmkernel_serve.app import make_app
from lmkernel_serve.served import Served
from small import HF_CONFIG
from small_waves import wave_model
from small_whisper import speech_model
from vocabulary_samples import TEMPLATE, byte_level

import lmkernel
import lmkernel.generation.scheduler as scheduling
from lmkernel.tokenizers import Tokenizer
from lmkernel_conformance.endpoint.cases import CASES
from lmkernel_conformance.endpoint.certification import run_case
from lmkernel_conformance.endpoint.wire import Endpoint

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from lmkernel.language_model import LanguageModel

CONFIG = {**HF_CONFIG, "vocab_size": 340, "max_position_embeddings": 256, "eos_token_id": 0}

TOOLS = "{% for t in tools or [] %}{{ t | tojson }}\n{% endfor %}"
MESSAGES = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}"
    "{% for c in m.tool_calls or [] %}{{ c.function | tojson }}{% endfor %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def tiny(folder: Path, template: str = TEMPLATE, **changes: Any) -> LanguageModel:
    """A small Llama whose words are made at random."""
    special = {"eos_token": "<|im_end|>", "bos_token": "<|endoftext|>"}
    tokenizer = Tokenizer(byte_level(), special, templates={"default": template})
    return loaded(folder, {**CONFIG, **changes}, tokenizer, dtype="float32")


@contextmanager
def serving(*models: Served, **options: Any) -> Iterator[str]:
    """The address of a server that runs in this process."""
    config = uvicorn.Config(make_app(models, **options), port=0, log_level="warning", ws="none")
    server, sockets = uvicorn.Server(config), [config.bind_socket()]
    thread = threading.Thread(target=server.run, args=[sockets])
    thread.start()
    try:
        while not server.started:
            time.sleep(0.005)
        yield f"http://127.0.0.1:{sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
        for model in models:
            model.worker.close()


@contextmanager
def calling(folder: Path, form: str) -> Iterator[tuple[openai.OpenAI, LanguageModel]]:
    """A client of a model whose template asks for calls in a form, and that model."""
    own = byte_level()
    own.add_tokens(["<tool_call>", "</tool_call>"])
    own.add_special_tokens(["[TOOL_CALLS]", "[ARGS]"])
    special = {"eos_token": "<|im_end|>", "bos_token": "<|endoftext|>"}
    hint = "{% if tools %}" + form + "\n{% endif %}"
    tokenizer = Tokenizer(own, special, templates={"default": TOOLS + hint + MESSAGES})
    config = {**CONFIG, "vocab_size": 350, "max_position_embeddings": 1024}
    model = loaded(folder / "caller", config, tokenizer, dtype="float32")
    with (
        serving(Served("caller", model, most_rows=2)) as address,
        openai.OpenAI(base_url=f"{address}/v1", api_key="-", max_retries=0) as client,
    ):
        yield client, model


def post(address: str, path: str, body: Any) -> tuple[int, Any]:
    connection = http.client.HTTPConnection(address.removeprefix("http://"))
    with closing(connection):
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        connection.request("POST", path, data, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())


def get(address: str, path: str) -> str:
    with urllib.request.urlopen(address + path) as answer:  # noqa: S310 - of our own server
        return str(answer.read().decode())


@pytest.fixture(name="tiny", scope="session")
def tiny_fixture() -> Any:
    """`tiny`, for tests that serve a model of their own."""
    return tiny


@pytest.fixture(name="serving", scope="session")
def serving_fixture() -> Any:
    """`serving`, the same."""
    return serving


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> LanguageModel:
    """What the library computes with, beside the one that is served."""
    return tiny(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="session")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server of one model."""
    own = tiny(tmp_path_factory.mktemp("served") / "tiny")
    with serving(Served("tiny", own, most_rows=4, most_waiting=3)) as found:
        yield found


@pytest.fixture(scope="session")
def client(address: str) -> Iterator[openai.OpenAI]:
    """The real client."""
    with openai.OpenAI(base_url=f"{address}/v1", api_key="none", max_retries=0) as made:
        yield made


@pytest.fixture(name="post", scope="session")
def post_fixture() -> Any:
    """`post`, for tests that look at the answer of HTTP."""
    return post


@pytest.fixture(name="get", scope="session")
def get_fixture() -> Any:
    """`get`, the same."""
    return get


@pytest.fixture(name="calling", scope="session")
def calling_fixture() -> Any:
    """`calling`, for tests of formats."""
    return calling


@pytest.fixture(scope="session")
def caller(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A client, and a model that writes calls as Hermes does."""
    with calling(tmp_path_factory.mktemp("caller"), "<tool_call>") as found:
        yield found


@pytest.fixture(scope="session")
def roomy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Served]]:
    """A server with a key, room for a conversation, and little for a queue; others hear there."""
    own = tiny(tmp_path_factory.mktemp("roomy") / "tiny", max_position_embeddings=1024)
    served = Served("tiny", own, most_rows=4, most_waiting=8)
    hearing = tmp_path_factory.mktemp("hearing")
    whisper = Served("whisper", lmkernel.load(speech_model(hearing / "whisper", context=12)))
    waves = Served("waves", lmkernel.load(wave_model(hearing / "waves")))
    with serving(served, whisper, waves, key="sesame") as found:
        yield found, served


@pytest.fixture
def roomy_address(roomy: tuple[str, Served]) -> Iterator[str]:
    """Its address; what a test left running there ends with it."""
    yield roomy[0]
    worker = roomy[1].worker
    worker.cancel(list(worker._readers))


@pytest.fixture(scope="session")
def state() -> Callable[..., str]:
    """The state of one case of a server with that key."""

    def find(address: str, key: str, **options: Any) -> str:
        [case] = [case for case in CASES if case.key == key]
        usual = {"limit": 20, "hearer": "waves", "key": "sesame"}
        endpoint = Endpoint(f"{address}/v1", "tiny", **{**usual, **options})
        return str(run_case(case, endpoint)["state"])

    return find


@pytest.fixture
def write(monkeypatch: pytest.MonkeyPatch) -> Callable[[LanguageModel, str], None]:
    """Has a model write a text, so far as that is allowed."""

    def script(model: LanguageModel, text: str) -> None:
        ids = [*model.tokenizer.encode(text, special_tokens=False), model.end_ids[0]]

        def sample(logits: Any, *_: Any, step: int, **__: Any) -> int:
            assert logits[ids[step]] > -float("inf"), model.tokenizer.decode(ids[step:])
            return ids[step]

        monkeypatch.setattr(scheduling, "sample", sample)

    return script
