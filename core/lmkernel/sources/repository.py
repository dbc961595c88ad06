"""One repository of a hub: the commit that a revision stands for, its files, and their bytes.

Constraints: a server is not trusted. A commit is 40 hexadecimal digits, a file's name is safe on
every disk and is there once, and what comes has the size and the hash that were announced.
"""

from __future__ import annotations

import fnmatch
import hashlib
import json
import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final
from urllib.parse import quote

from lmkernel.checkpoints.sentence_files import is_sentence_file
from lmkernel.errors import PullError
from lmkernel.sources.transfer import Refused, copy_body, read_body

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

__all__ = ["Repository", "is_wanted"]

WANTED = (
    "config.json",
    "generation_config.json",
    "preprocessor_config.json",
    "processor_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "tokenizer.model",
    "spiece.model",
    "sentencepiece.bpe.model",
    "source.spm",
    "target.spm",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "vocab.txt",
    "merges.txt",
    "chat_template.jinja",
    "chat_template.json",
    "*.safetensors",
    "*.safetensors.index.json",
)
UNWANTED = ("*/*", "consolidated*")
"""What lies in subfolders is for other programs, but for what follows a model that makes vectors of
sentences; consolidated files repeat the sharded ones."""
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+-]{0,199}")
_COMMIT, _SHA256 = re.compile(r"[0-9a-f]{40}"), re.compile(r"[0-9a-f]{64}")
_NEXT = re.compile(r'<([^<>]+)>;\s*rel="next"')
_PAGES, _PAGE = 20, 1 << 24
"""Most pages of a list of files, and most bytes of one."""


@final
@dataclass(frozen=True)
class Repository:
    """One repository as the server shows it.

    Args:
        repository: its name.
        endpoint: the server's address.
        headers: sent along with each question: the client's name, and the user's token.
    """

    repository: str
    endpoint: str
    headers: Mapping[str, str]

    @classmethod
    def of(cls, repository: str) -> Repository:
        """Under the client's settings."""
        from huggingface_hub import constants
        from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]  # its address

        endpoint = os.environ.get("HF_ENDPOINT") or constants.ENDPOINT
        return cls(repository, endpoint.rstrip("/"), build_hf_headers(library_name="lmkernel"))

    def commit(self, revision: str) -> str:
        """The commit that a revision stands for, 40 hexadecimal digits."""
        document, _ = self._ask(f"{self._api}/revision/{quote(revision, safe='')}")
        sha = document.get("sha") if isinstance(document, dict) else None
        if not isinstance(sha, str) or not _COMMIT.fullmatch(sha):
            raise PullError(
                f"expected the hub to name a commit, 40 hexadecimal digits, got {sha!r:.60}"
            )
        if _COMMIT.fullmatch(revision) and sha != revision:
            raise PullError(f"expected the hub to give the commit {revision}, got {sha}")
        return sha

    def files(self, commit: str) -> list[HubFile]:
        """The files of a commit that are wanted, small ones first."""
        found: dict[str, HubFile] = {}
        url = f"{self._api}/tree/{commit}?recursive=true"
        for _ in range(_PAGES):
            document, link = self._ask(url)
            for entry in document if isinstance(document, list) else [document]:
                file = _wanted_file(entry)
                if file is None:
                    continue
                if file.name.lower() in found:
                    raise PullError(f"the hub lists {file.name!r} twice")
                found[file.name.lower()] = file
            further = _NEXT.search(link)
            if not further:
                return sorted(found.values(), key=lambda file: file.size)
            url = further[1]
            if not url.startswith(f"{self.endpoint}/"):
                raise PullError("the hub leads to another server for the rest of its list")
        raise PullError(f"the hub's list of files has over {_PAGES} pages")

    def copy(
        self, file: HubFile, commit: str, folder: Path, advance: Callable[[int], None]
    ) -> None:
        """Download one file, and compare it with what was announced."""
        url = f"{self.endpoint}/{self.repository}/resolve/{commit}/{quote(file.name)}"
        (folder / file.name).parent.mkdir(exist_ok=True)
        with (folder / file.name).open("xb+") as opened:
            try:
                copy_body(url, self.headers, opened, size=file.size, advance=advance)
            except Refused as error:
                raise PullError(_reason(error, f"{file.name}: ")) from error
            except PullError as error:
                raise PullError(f"{file.name}: {error}") from error
            opened.seek(0)
            got = file.hash_of(opened)
        if got != file.hash:
            raise PullError(
                f"{file.name}: expected the announced hash {file.hash}, got {got}; nothing was kept"
            )

    @property
    def _api(self) -> str:
        return f"{self.endpoint}/api/models/{self.repository}"

    def _ask(self, url: str) -> tuple[Any, str]:
        """A JSON document, and the header that says where it goes on."""
        try:
            data, link = read_body(url, self.headers, _PAGE)
            return json.loads(data), link
        except Refused as error:
            raise PullError(_reason(error)) from error
        except (ValueError, RecursionError) as error:
            raise PullError("expected the hub to answer in JSON, got something else") from error


@final
@dataclass(frozen=True)
class HubFile:
    """A file as it was announced.

    Args:
        name: its name.
        size: its bytes.
        hash: hexadecimal SHA-256, or for a small file the SHA-1 by which Git names it.
    """

    name: str
    size: int
    hash: str

    def hash_of(self, file: Any) -> str:
        """The hash of what came, of the same kind."""
        if _SHA256.fullmatch(self.hash):
            return hashlib.file_digest(file, "sha256").hexdigest()
        state = hashlib.sha1(b"blob %d\0" % self.size, usedforsecurity=False)
        while piece := file.read(1 << 20):
            state.update(piece)
        return state.hexdigest()


def _wanted_file(entry: Any) -> HubFile | None:
    """A file that is wanted, or None; what is malformed is refused."""
    path, size = (entry.get("path"), entry.get("size")) if isinstance(entry, dict) else (None, None)
    if not isinstance(path, str):
        raise PullError(f"expected the hub to list files with their paths, got {entry!r:.60}")
    if entry.get("type") != "file" or not is_wanted(path):
        return None
    if not (_NAME.fullmatch(path) or is_sentence_file(path)):
        raise PullError(f"the hub lists a file whose name is not safe on disk: {path!r:.60}")
    large = entry.get("lfs")
    digest = large.get("oid") if isinstance(large, dict) else entry.get("oid")
    pattern = _SHA256 if isinstance(large, dict) else _COMMIT
    if type(size) is not int or size < 0:
        raise PullError(f"{path}: expected the hub to announce a size, got {size!r:.60}")
    if not isinstance(digest, str) or not pattern.fullmatch(digest):
        raise PullError(f"{path}: expected the hub to announce a hash, got {digest!r:.60}")
    return HubFile(path, size, digest)


def is_wanted(name: str) -> bool:
    """Whether a file of a repository is part of a model."""
    kept, left = (any(fnmatch.fnmatchcase(name, p) for p in ps) for ps in (WANTED, UNWANTED))
    return (kept and not left) or is_sentence_file(name)


def _reason(error: Refused, where: str = "") -> str:
    """Why the whole repository is not given, or what was answered where."""
    kind = {k.lower(): v for k, v in error.headers.items()}.get("x-error-code", "")
    if kind == "GatedRepo":
        return "the repository is gated; accept its terms on its page and set HF_TOKEN"
    if kind == "RevisionNotFound":
        return "the repository has no such revision"
    if kind == "RepoNotFound" or error.code in (401, 403):
        return "the Hub knows no such repository, or it is private and HF_TOKEN is not set"
    return f"{where}{error}"
