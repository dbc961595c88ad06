"""``lmkernel serve``: models behind OpenAI's interface."""

from __future__ import annotations

import os
import signal
import socket
from pathlib import Path
from typing import TYPE_CHECKING, final

from lmkernel.arguments import require_count
from lmkernel.cli.command import Command
from lmkernel.cli.options import add_loading_options
from lmkernel.cli.screen import note
from lmkernel.errors import InputError

if TYPE_CHECKING:
    import argparse

    from lmkernel_serve.served import Served

__all__ = ["Serve", "open_models"]

_KEY = "LMKERNEL_SERVE_KEY"
_LAST_PORT = 65535


@final
class Serve(Command):
    """Serves until SIGTERM or Ctrl-C; what runs then is finished first."""

    def configure(self, parser: argparse.ArgumentParser) -> None:
        """The models, where it listens, and its limits."""
        parser.add_argument(
            "models",
            nargs="+",
            metavar="[NAME=]MODEL",
            help="a name, a folder, also of an adapter, or a GGUF file; NAME is for clients",
        )
        parser.add_argument(
            "--embed",
            action="append",
            default=[],
            metavar="[NAME=]MODEL",
            help="a model that makes vectors and nothing else; repeatable",
        )
        where = parser.add_argument_group("where it listens")
        where.add_argument(
            "--host", default="127.0.0.1", metavar="ADDRESS", help="default 127.0.0.1"
        )
        where.add_argument(
            "--port", type=int, default=8000, metavar="N", help="default 8000; 0: any"
        )
        where.add_argument("--key", metavar="KEY", help=f"that clients must show; default ${_KEY}")
        where.add_argument(
            "--cors", action="append", default=[], metavar="ORIGIN", help="whose pages may ask"
        )
        where.add_argument(
            "--allow-host",
            action="append",
            default=[],
            metavar="NAME",
            help="under which it may be asked, too, where it listens to this machine alone",
        )
        limits = parser.add_argument_group("limits")
        limits.add_argument(
            "--max-batch", type=int, default=16, metavar="N", help="answers at once; default 16"
        )
        limits.add_argument(
            "--max-queue", type=int, default=64, metavar="N", help="requests that wait; default 64"
        )
        limits.add_argument(
            "--max-body", type=int, default=4 << 20, metavar="BYTES", help="default 4194304"
        )
        limits.add_argument(
            "--max-form",
            type=int,
            default=25 << 20,
            metavar="BYTES",
            help="of a body with a sound; default 26214400",
        )
        limits.add_argument(
            "--max-sound", type=float, default=3600, metavar="S", help="of a sound; default 3600"
        )
        limits.add_argument(
            "--timeout", type=float, default=600, metavar="S", help="of a request; default 600"
        )
        add_loading_options(parser)

    def run(self, args: argparse.Namespace) -> int:
        """Serve."""
        key = args.key or os.environ.get(_KEY) or None
        _check(args, key)
        with _bound(args.host, args.port) as own:
            self._serve(args, key, own)
        return 0

    def _serve(self, args: argparse.Namespace, key: str | None, own: socket.socket) -> None:
        """Serve at a socket that is bound already."""
        import uvicorn

        from lmkernel_serve.app import Limits, make_app
        from lmkernel_serve.hosts import is_loopback

        models = open_models(args)
        app = make_app(
            models,
            key=key,
            limits=Limits(args.max_body, args.timeout, args.max_form, args.max_sound),
            origins=args.cors,
            hosts=args.allow_host if is_loopback(args.host) else None,
        )
        config = uvicorn.Config(
            app,
            host=args.host,
            port=args.port,
            log_level="warning",
            timeout_graceful_shutdown=int(args.timeout) + 1,
        )
        server = uvicorn.Server(config)
        # the server finishes what runs, then raises the signal again, which must not end it badly
        signal.signal(signal.SIGTERM, lambda *_: None)
        own.listen(config.backlog)  # who reads the address below may connect at once
        port = own.getsockname()[1]
        names = ", ".join(model.name for model in models)
        where = f"http://{args.host}:{port}"
        page = f", and a page to chat on at {where}/" if any(m.generates for m in models) else ""
        note(f"{names} at {where}/v1{page}")
        server.run([own])
        for model in models:
            model.worker.close()


def _bound(host: str, port: int) -> socket.socket:
    """A socket at an address, which is the first thing to fail and so comes before the models.

    Raises:
        InputError: there is no such address, or it is taken.
    """
    bound = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((host, port))
    except (OSError, ValueError, TypeError) as error:  # a host may hold what no name may
        bound.close()
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{host}:{port}: cannot be listened at: {reason}") from error
    return bound


def _check(args: argparse.Namespace, key: str | None) -> None:
    """Refuse what makes no sense, before a model is opened."""
    from lmkernel_serve.hosts import is_loopback

    counts = {"max_batch": 1, "max_queue": 0, "max_body": 1, "max_form": 1}
    for name, least in counts.items():
        require_count(f"--{name.replace('_', '-')}", getattr(args, name), least=least)
    require_count("--port", args.port, least=0, most=_LAST_PORT)
    for name in ("timeout", "max_sound"):
        if not getattr(args, name) > 0:
            flag = name.replace("_", "-")
            raise InputError(f"--{flag}: expected a positive number, got {getattr(args, name)}")
    if key is None and not is_loopback(args.host):
        raise InputError(
            f"--host {args.host}: others could reach this server; set a key with --key or {_KEY}"
        )


def open_models(args: argparse.Namespace) -> list[Served]:
    """The models that are asked for, under the names that clients call them by.

    Raises:
        InputError: two have one name.
        LmkernelError: one cannot be opened.
    """
    from lmkernel.loading import load
    from lmkernel_serve.served import Served

    asked = [(one, False) for one in args.models] + [(one, True) for one in args.embed]
    named = [(*_name_and_model(one), embeds) for one, embeds in asked]
    names = [name for name, _, _ in named]
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"two models are called {name!r}; name one of them with NAME=MODEL")
    where = {name: getattr(args, name) for name in ("backend", "device", "dtype", "weights")}
    return [
        Served(
            name,
            load(model, **where),
            most_rows=args.max_batch,
            most_waiting=args.max_queue,
            embeds_only=embeds,
        )
        for name, model, embeds in named
    ]


def _name_and_model(asked: str) -> tuple[str, str]:
    """What clients call a model, and what is opened."""
    name, given, model = asked.partition("=")
    if given and name and model and not Path(asked).exists():
        return name, model
    path = Path(asked).expanduser()
    return (path.resolve().name if path.exists() else asked), asked
