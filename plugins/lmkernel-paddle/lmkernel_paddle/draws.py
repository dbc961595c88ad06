"""Seeds of Paddle's generator, which takes 32 bits where a key has 62."""

from __future__ import annotations

__all__ = ["two_seeds"]

_LOW = 2**64 - 1


def two_seeds(high: int, low: int) -> tuple[int, int]:
    """Two seeds of 31 bits, at least 1, that depend on every bit of both words.

    The bits are mixed as in Steele, Lea and Flood, "Fast splittable pseudorandom number
    generators", OOPSLA 2014, figure 13, which keeps different keys different.
    """
    word = (high << 32 | low) + 0x9E3779B97F4A7C15 & _LOW
    word = (word ^ word >> 30) * 0xBF58476D1CE4E5B9 & _LOW
    word = (word ^ word >> 27) * 0x94D049BB133111EB & _LOW
    word ^= word >> 31
    # a seed of 0 means to Paddle the state that it keeps for the whole process
    return (word >> 33) or 1, (word & 0x7FFFFFFF) or 1
