"""A server of completions that says nothing but the log-probabilities of a prompt's tokens.

As a program: ``completions_server.py CHECKPOINT PORT [NAME]`` serves a checkpoint with our default
backend, or with transformers and the defect of this name in it.
"""

from __future__ import annotations

import json
import sys
from contextlib import contextmanager, nullcontext
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any

import numpy as np

import lmkernel as lk
from lmkernel.comparison.metrics import log_softmax

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Logits = Callable[[list[int]], Any]


def server(
    logits_of: Logits, port: int = 0, echo: bool = True, generated: int = 1, listed: bool = False
) -> ThreadingHTTPServer:
    """A server on a port; 0 is any.

    Args:
        logits_of: the logits ``(time, vocab)`` of one prompt.
        port: where it listens.
        echo: whether it knows ``echo``; else it says what it generated alone.
        generated: so many tokens it then says it generated.
        listed: whether it says them in a list of objects, as llama.cpp's server does.
    """

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._say({"data": [{"id": "the model"}]})

        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            ids = asked["prompt"]
            try:
                logs = log_softmax(np.asarray(logits_of(ids)))
                following = logs[np.arange(len(ids) - 1), ids[1:]].tolist()
            except Exception as error:  # noqa: BLE001 - a server says whatever goes wrong
                self._say({"error": str(error)}, 500)
                return
            best = float(logs[-1].max())
            told = [None, *following, best] if echo else [best] * generated
            said: Any = {"token_logprobs": told}
            if listed:
                said = {"content": [{"logprob": x} for x in told]}
            self._say({"choices": [{"logprobs": said}]})

        def _say(self, what: Any, code: int = 200) -> None:
            data = json.dumps(what).encode()
            self.send_response(code)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: Any) -> None:
            return

    return ThreadingHTTPServer(("127.0.0.1", port), Handler)


@contextmanager
def serving(logits_of: Logits, **options: Any) -> Iterator[str]:
    """A server in a thread; gives its URL."""
    made = server(logits_of, **options)
    thread = Thread(target=made.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{made.server_port}"
    finally:
        made.shutdown()
        thread.join()
        made.server_close()


def own_logits(checkpoint: Path) -> Logits:
    """Those of our default backend."""
    model = lk.load(checkpoint, backend="numpy")
    return lambda ids: model.logits([ids])[0]


@contextmanager
def broken_logits(checkpoint: Path, name: str) -> Iterator[Logits]:
    """Those of transformers with a defect."""
    import torch
    from broken_transformers import PORTS
    from lmkernel_transformers.subject import _load

    port = next(one for one in PORTS if one.id == name)
    model = _load(checkpoint, torch.float32, None).eval()
    patch = port.apply(model) or nullcontext()

    def logits(ids: list[int]) -> Any:
        with torch.inference_mode():
            return model(input_ids=torch.tensor([ids])).logits[0].numpy()

    with patch:
        yield logits


if __name__ == "__main__":
    place, where, *defect = sys.argv[1:]
    folder = Path(place)
    if defect:
        with broken_logits(folder, defect[0]) as answers:
            server(answers, int(where)).serve_forever()
    server(own_logits(folder), int(where)).serve_forever()


__all__ = ["broken_logits", "own_logits", "server", "serving"]
