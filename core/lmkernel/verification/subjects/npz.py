"""Archives of arrays as ``numpy.savez`` writes them; only what is asked for is unpacked."""

from __future__ import annotations

import io
import tokenize
import zipfile
import zlib
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any, final

from numpy.lib import format as npy

from lmkernel.checkpoints.tensors import Tensors, unknown_tensor
from lmkernel.errors import CheckpointError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

__all__ = ["NpzFile"]

_SUFFIX = ".npy"
_HEADER = 2**14
"""Bytes in which a header of plain numbers lies; NumPy reads none of more than 10,000."""
_FAULTS = (
    *(OSError, ValueError, TypeError, EOFError, KeyError, RuntimeError, SyntaxError),
    *(zipfile.BadZipFile, zlib.error, tokenize.TokenError),
)
"""What ``zipfile`` and NumPy raise of a damaged archive or header, or of one they cannot unpack."""


@final
class NpzFile(Tensors):
    """One ``.npz``.

    Args:
        path: the file; only its table of contents is read now.

    Raises:
        CheckpointError: it is no archive of arrays.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with path.open("rb") as file:
            if file.read(len(npy.MAGIC_PREFIX)) == npy.MAGIC_PREFIX:
                raise CheckpointError(f"{path}: expected an archive of arrays, got a single array")
        with self._faults("an archive of arrays"), zipfile.ZipFile(path) as archive:
            self._members = {name.removesuffix(_SUFFIX): name for name in archive.namelist()}
        self._headers: dict[str, tuple[tuple[int, ...], np.dtype[Any]]] = {}

    def names(self) -> tuple[str, ...]:
        """Every name, in the order of the archive."""
        return tuple(self._members)

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape that the header says."""
        return self._header(name)[0]

    def dtype(self, name: str) -> str:
        """The dtype's name that the header says."""
        return self._header(name)[1].name

    def read(self, name: str, dtype: str | None = None) -> NDArray[Any]:
        """The values, as many as the header says; see `Tensors.read`."""
        with self._member(name) as file:
            values: NDArray[Any] = npy.read_array(file, allow_pickle=False)
            if file.read(1):  # at the end the checksum is looked at
                raise ValueError(f"more bytes than an array of shape {values.shape} has")
        return values if dtype is None else values.astype(dtype)

    def _header(self, name: str) -> tuple[tuple[int, ...], np.dtype[Any]]:
        if name not in self._headers:
            with self._member(name) as file:
                begin = io.BytesIO(file.read(_HEADER))
                first = npy.read_magic(begin) == (1, 0)
                read = npy.read_array_header_1_0 if first else npy.read_array_header_2_0
                shape, _, dtype = read(begin)
            self._headers[name] = shape, dtype
        return self._headers[name]

    @contextmanager
    def _member(self, name: str) -> Iterator[IO[bytes]]:
        if name not in self._members:
            raise unknown_tensor(self.path, name, self._members)
        with (
            self._faults(f"an array {name!r}"),
            zipfile.ZipFile(self.path) as archive,
            archive.open(self._members[name]) as file,
        ):
            yield file

    @contextmanager
    def _faults(self, expected: str) -> Iterator[None]:
        try:
            yield
        except _FAULTS as error:
            got = str(error) or type(error).__name__
            raise CheckpointError(f"{self.path}: expected {expected}, got: {got}") from error
