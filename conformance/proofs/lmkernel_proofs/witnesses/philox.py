"""Witness of the random bits: Philox 4x64-10 in Python's integers (Salmon et al., SC '11, §4.3).

Constraint: the published known answers judge this generator, and it judges `lmkernel.random`.
"""

from __future__ import annotations

import hashlib
from types import MappingProxyType

__all__ = ["KNOWN_ANSWERS", "PUBLISHED_BY", "block", "words"]

Counter = tuple[int, int, int, int]
Key = tuple[int, int]

PUBLISHED_BY = "Random123, kat_vectors, philox4x64 with 10 rounds"
_ONES = 2**64 - 1
_MULTIPLIERS = (0xD2E7470EE14C6C93, 0xCA5A826395121157)
_STEPS = (0x9E3779B97F4A7C15, 0xBB67AE8584CAA73B)

KNOWN_ANSWERS = MappingProxyType(
    {
        ((0,) * 4, (0,) * 2): (
            0x16554D9ECA36314C, 0xDB20FE9D672D0FDC, 0xD7E772CEE186176B, 0x7E68B68AEC7BA23B,
        ),
        ((_ONES,) * 4, (_ONES,) * 2): (
            0x87B092C3013FE90B, 0x438C3C67BE8D0224, 0x9CC7D7C69CD777B6, 0xA09CAEBF594F0BA0,
        ),
        (
            (0x243F6A8885A308D3, 0x13198A2E03707344, 0xA4093822299F31D0, 0x082EFA98EC4E6C89),
            (0x452821E638D01377, 0xBE5466CF34E90C6C),
        ): (
            0xA528F45403E61D95, 0x38C72DBD566E9788, 0xA5A1610E72FD18B5, 0x57BD43B5E52B7FE6,
        ),
    }
)  # fmt: skip
"""What the authors publish: (counter, key) -> four words."""


def block(counter: Counter, key: Key) -> Counter:
    """Ten rounds: two products of 128 bits, their halves crossed, the key added on."""
    x, k = list(counter), list(key)
    for _ in range(10):
        high0, low0 = divmod(x[0] * _MULTIPLIERS[0], 2**64)
        high1, low1 = divmod(x[2] * _MULTIPLIERS[1], 2**64)
        x = [high1 ^ x[1] ^ k[0], low1, high0 ^ x[3] ^ k[1], low0]
        k = [(own + step) % 2**64 for own, step in zip(k, _STEPS, strict=True)]
    return x[0], x[1], x[2], x[3]


def words(seed: int, purpose: str, count: int) -> list[int]:
    """A stream as `lmkernel.random.raw_words` names it: blocks of the counters from 1 on."""
    digest = hashlib.blake2b(purpose.encode(), digest_size=8).digest()
    key = seed % 2**64, int.from_bytes(digest, "little")
    blocks = (block((i, 0, 0, 0), key) for i in range(1, count // 4 + 2))
    return [word for four in blocks for word in four][:count]
