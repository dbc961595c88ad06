"""A server of completions that says nothing but the log-probabilities of a prompt's tokens.

As a program, ``completions_server.py CHECKPOINT PORT``, it serves our default backend's.
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

    from port_breaks import Broken

    Logits = Callable[[list[int]], Any]
    Together = Callable[[list[list[int]]], list[Any]]


def server(
    logits_of: Logits,
    port: int = 0,
    echo: bool = True,
    generated: int = 1,
    listed: bool = False,
    together: Together | None = None,
) -> ThreadingHTTPServer:
    """A server on a port; 0 is any.

    Args:
        logits_of: the logits ``(time, vocab)`` of one prompt.
        port: where it listens.
        echo: whether it knows ``echo``; else it says what it generated alone.
        generated: so many tokens it then says it generated.
        listed: whether it says them in a list of objects, as llama.cpp's server does.
        together: the logits of each of several prompts; by default those of each by itself.
    """

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._say({"data": [{"id": "the model"}]})

        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            prompts = asked["prompt"] if isinstance(asked["prompt"][0], list) else [asked["prompt"]]
            try:
                alone = together is None or len(prompts) == 1
                made = [logits_of(ids) for ids in prompts] if alone else together(prompts)
                choices = [self._choice(*pair) for pair in zip(prompts, made, strict=True)]
            except Exception as error:  # noqa: BLE001 - a server says whatever goes wrong
                self._say({"error": str(error)}, 500)
                return
            numbered = [{"index": i, "logprobs": said} for i, said in enumerate(choices)]
            self._say({"choices": numbered[::-1], "system_fingerprint": "build 7"})

        def _choice(self, ids: list[int], logits: Any) -> dict[str, Any]:
            logs = log_softmax(np.asarray(logits))
            following = logs[np.arange(len(ids) - 1), ids[1:]].tolist()
            best = float(logs[-1].max())
            told = [None, *following, best] if echo else [best] * generated
            if listed:
                return {"content": [{"logprob": x} for x in told]}
            return {"token_logprobs": told}

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
def serving_broken(checkpoint: Path, port: Broken, number: int = 0) -> Iterator[str]:
    """A server in a thread, of transformers with a defect; gives its URL.

    Several prompts at once are padded on the left, as servers do.
    """
    import torch
    from lmkernel_transformers.subject import _load

    model = _load(checkpoint, torch.float32, None).eval()
    # without a cache, transformers takes repeated positions for several texts in a row; of layers
    # without attention it makes none
    cached = "linear_attention" not in (getattr(model.config, "layer_types", None) or ())

    def together(rows: list[list[int]]) -> list[Any]:
        time = max(map(len, rows))
        ids = torch.tensor([[0] * (time - len(row)) + row for row in rows])
        mask = torch.tensor([[0] * (time - len(row)) + [1] * len(row) for row in rows])
        where = (mask.cumsum(1) - 1).clamp(min=0)
        with torch.inference_mode():
            given = {"attention_mask": mask, "position_ids": where, "use_cache": cached}
            made = model(input_ids=ids, **given).logits
        return [x[time - len(row) :].float().numpy() for x, row in zip(made, rows, strict=True)]

    patch = port.apply(model) or nullcontext()
    answers = serving(lambda ids: together([ids])[0], port=number, together=together)
    with patch, answers as url:
        yield url


if __name__ == "__main__":
    place, where = sys.argv[1:]
    server(own_logits(Path(place)), int(where)).serve_forever()


__all__ = ["own_logits", "server", "serving", "serving_broken"]
