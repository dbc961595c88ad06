"""``POST /v1/embeddings``."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

from lmkernel_serve.errors import ApiError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from lmkernel_serve.documents import EmbeddingDocument
    from lmkernel_serve.served import Served

__all__ = ["embedding_body"]


async def embedding_body(served: Served, document: EmbeddingDocument) -> dict[str, Any]:
    """A vector for each text, as the library computes it.

    Raises:
        ApiError: ids were given, from which no text can be told.
        LmkernelError: a text is empty or too long.
    """
    given = document.input
    texts = [given] if isinstance(given, str) else list(given)
    if not texts or not all(isinstance(text, str) and text for text in texts):
        raise ApiError("input: expected a text, or several; none of them empty", param="input")
    model = served.model
    vectors = await served.worker.call(lambda: model.embed([str(text) for text in texts]))
    count = sum(len(model.token_ids(str(text))) for text in texts)
    data = [
        {
            "object": "embedding",
            "index": index,
            "embedding": _encode(vector, document.encoding_format or "float"),
        }
        for index, vector in enumerate(vectors)
    ]
    return {
        "object": "list",
        "data": data,
        "model": served.name,
        "usage": {"prompt_tokens": count, "total_tokens": count},
    }


def _encode(vector: NDArray[np.float32], encoding: str) -> list[float] | str:
    if encoding == "base64":
        return base64.b64encode(vector.astype("<f4").tobytes()).decode()
    return [float(value) for value in vector]
