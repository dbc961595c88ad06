"""Numbers in words of two languages: pairs that rules make, for a model to learn."""

from __future__ import annotations

__all__ = ["english", "german", "pairs"]

_ENGLISH = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
]
_ENGLISH_TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
_GERMAN = [
    "null",
    "eins",
    "zwei",
    "drei",
    "vier",
    "fünf",
    "sechs",
    "sieben",
    "acht",
    "neun",
    "zehn",
    "elf",
    "zwölf",
    "dreizehn",
    "vierzehn",
    "fünfzehn",
    "sechzehn",
    "siebzehn",
    "achtzehn",
    "neunzehn",
]
_GERMAN_TENS = [
    "zwanzig",
    "dreißig",
    "vierzig",
    "fünfzig",
    "sechzig",
    "siebzig",
    "achtzig",
    "neunzig",
]


def english(number: int) -> str:
    """0 to 9999, such as ``"three hundred forty-one"``."""
    if number >= 1000:
        rest = f" {english(number % 1000)}" if number % 1000 else ""
        return f"{english(number // 1000)} thousand{rest}"
    if number >= 100:
        rest = f" {english(number % 100)}" if number % 100 else ""
        return f"{english(number // 100)} hundred{rest}"
    if number >= 20:
        one = f"-{_ENGLISH[number % 10]}" if number % 10 else ""
        return _ENGLISH_TENS[number // 10 - 2] + one
    return _ENGLISH[number]


def german(number: int) -> str:
    """0 to 9999, such as ``"dreihunderteinundvierzig"``."""
    if number >= 1000:
        return f"{_counted(number // 1000)}tausend{german(number % 1000) if number % 1000 else ''}"
    if number >= 100:
        return f"{_counted(number // 100)}hundert{german(number % 100) if number % 100 else ''}"
    if number >= 20:
        one = f"{_counted(number % 10)}und" if number % 10 else ""
        return one + _GERMAN_TENS[number // 10 - 2]
    return _GERMAN[number]


def _counted(number: int) -> str:
    """Before another word, one is ``ein``."""
    return "ein" if number == 1 else _GERMAN[number]


def pairs(numbers: list[int]) -> list[dict[str, str]]:
    """Rows with a source in English and a target in German."""
    return [{"source": english(n), "target": german(n)} for n in numbers]
