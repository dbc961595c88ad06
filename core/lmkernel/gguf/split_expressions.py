"""The expressions by which byte-level BPEs split a text into words, in the order of their use.

They split as llama.cpp's pre-tokenisers do, which GGUF files are made for and used with. Where
these simplify a model's own expression (capitals beyond ASCII, combining marks), so does this.
"""

from __future__ import annotations

__all__ = [
    "BAILING",
    "BLOOM",
    "CHAMELEON",
    "DEEPSEEK",
    "DEEPSEEK_CODER",
    "DEEPSEEK_LLM",
    "DEFAULT",
    "EXAONE_MOE",
    "FALCON",
    "GPT2",
    "GPT4O",
    "GPT4O_MARKS",
    "JAIS2",
    "KIMI",
    "LINES",
    "LLAMA3",
    "MINICPM",
    "QWEN2",
    "QWEN35",
    "SEED",
    "SINGLE_DIGITS",
    "SPARK",
    "SUPERBPE",
    "TEKKEN",
    "TURKISH",
    "VIKING",
]


def _range(codes: str) -> str:
    """The inside of a bracket: hexadecimal code points, and first and last of several."""
    ends = (code.split("-") for code in codes.split())
    return "".join("-".join(f"\\x{{{end}}}" for end in pair) for pair in ends)


_SHORT = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_SPACES = r"|\s*[\r\n]+|\s+(?!\S)|\s+"
_SIGNS = r"| ?[^\s\p{L}\p{N}]+[\r\n]*"
_REST = _SIGNS + _SPACES
_BEFORE = r"[^\r\n\p{L}\p{N}]?"
_WORDS = rf"{_SHORT}|{_BEFORE}\p{{L}}+|"


def _cased(capitals: str, small: str, short: str = f"{_SHORT}?") -> str:
    """Words in which capitals come before small letters."""
    return rf"{_BEFORE}{capitals}*{small}+{short}|{_BEFORE}{capitals}+{small}*{short}|"


_CODE_REST = r"| ?[^\s\p{L}\p{N}]+[\r\n/]*" + _SPACES
_LETTERS = (r"[\p{L}&&[^a-z]]", r"[\p{L}&&[^A-Z]]")
_MARKED = (r"[\p{L}\p{M}&&[^a-z]]", r"[\p{L}\p{M}&&[^A-Z]]")
_GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
_ASCII_SIGN = r"[!-/:-@\[-`{-~]"
_ASIAN = f"[{_range('4E00-9FA5 3040-30FF')}]+"
_FAR_EAST = rf"[{_range('800-9FA5 AC00-D7FF')}&&[^\s]]+"
_HAN = _range("3400-4DBF 4E00-9FFF F900-FAFF 20000-2A6DF 2A700-2EBEF 2F800-2FA1F")
_DEEPSEEK_WORDS = (
    rf"{_ASCII_SIGN}[A-Za-z]+|[^\r\n\p{{L}}\p{{P}}\p{{S}}]?[\p{{L}}\p{{M}}]+| ?[\p{{P}}\p{{S}}]+"
)
_CASED = _range(
    "41-5A 61-7A B5 C0-D6 D8-F6 F8-1BA 1BC-1BF 1C4-293 295-2AF 370-373 376 377 37B-37D 37F 386 "
    "388-38A 38C 38E-3A1 3A3-3F5 3F7-481 48A-52F 531-556 10A0-10C5 13A0-13F5 13F8-13FD 1C90-1CBA "
    "1CBD-1CBF 1D00-1D2B 1D6B-1D77 1D79-1D9A 1E00-1F15 1F18-1F1D 1F20-1F45 1F48-1F4D 1F50-1F57 "
    "1F59 1F5B 1F5D 1F5F-1F7D 1F80-1FB4 1FB6-1FBC 1FBE 1FC2-1FC4 1FC6-1FCC 1FD0-1FD3 1FD6-1FDB "
    "1FE0-1FEC 1FF2-1FF4 1FF6-1FFC 2102 2107 210A-2113 2115 2119-211D 2124 2126 2128 212A-212D "
    "212F-2134 2139 213C-213F 2145-2149 214E 2183 2184 2C00-2C7B 2C7E-2CE4 2CEB-2CEE 2CF2 2CF3 "
    "A640-A66D A680-A69B A722-A76F A771-A787 A78B-A78E AB70-ABBF FB00-FB06 FB13-FB17 FF21-FF3A "
    "FF41-FF5A 10400-1044F 104B0-104D3 104D8-104FB 10C80-10CB2 10CC0-10CF2 118A0-118DF 1E900-1E943"
)
_WIDE_SIGNS = _range("21-2F 3A-7E FF01-FF0F FF1A-FF5E 2018-201F 3001-3002")
_NOT_BLOOMS = r"\s(|.,!?)" + _range("2026 3002 FF0C 3001 964 6D4 60C")

GPT2 = (_GPT2,)
DEFAULT = (r"[\p{P}$+<=>^~|]+", _GPT2, r"\p{N}+", "[0-9]{3}")
SINGLE_DIGITS = (r"\p{N}", _GPT2)
FALCON = (r"[\p{P}$+<=>^~|`]+", _GPT2, "[0-9]{3}")
LLAMA3 = (_WORDS + r"\p{N}{1,3}" + _REST,)
QWEN2 = (_WORDS + r"\p{N}" + _REST,)
QWEN35 = (
    rf"{_SHORT}|{_BEFORE}[\p{{L}}\p{{M}}]+|\p{{N}}| ?[^\s\p{{L}}\p{{M}}\p{{N}}]+[\r\n]*{_SPACES}",
)
LINES = (r"[^\n]+|\n+", *QWEN2)
SEED = (_WORDS + r"\p{N}| ?[^\s\p{L}\p{N}]+" + _SPACES,)
TURKISH = (_BEFORE + r"\p{L}+|\p{N}" + _REST,)
BAILING = (_WORDS + r"\p{N}" + _SIGNS + r"|\s*[\r\n]|\s+(?!\S)|\s+",)
MINICPM = (r"\p{N}{1,3}", _WORDS + r"\p{N}+" + _REST)
JAIS2 = (
    _WORDS
    + r"\p{N}{1,3}"
    + _SIGNS
    + r"|\s*[\r\n]+"
    + "".join(
        rf"|\s{{{n}}}(?!\S)" for n in ("512", "256", "128", "64", "32", "16", "8", "4", "1,2")
    )
    + r"|\s",
)
_PHRASES = rf"{_SHORT}|{_BEFORE}(?:\p{{L}}\p{{M}}*(?: \p{{L}}\p{{M}}*)*)+|\p{{N}}"
EXAONE_MOE = (_PHRASES + r"| ?[^\s\p{L}\p{N}]+[\r\n/]?|\s*[\r\n]|\s+(?!\S)|\s+",)
TEKKEN = (_cased(*_LETTERS, "") + r"\p{N}" + _CODE_REST,)
GPT4O = (_cased(*_LETTERS) + r"\p{N}{1,3}" + _CODE_REST,)
GPT4O_MARKS = (_cased(*_MARKED) + r"\p{N}{1,3}" + _CODE_REST,)
KIMI = (rf"[{_HAN}]+|{_BEFORE}[\p{{L}}&&[^{_HAN}]]+{_SHORT}?|\p{{N}}{{1,3}}{_REST}",)
DEEPSEEK = (r"\p{N}{1,3}", _ASIAN, _DEEPSEEK_WORDS + r"[\r\n]*" + _SPACES)
SPARK = (r"\p{N}{1,3}", _ASIAN, _DEEPSEEK_WORDS + r"|[\r\n]|\s+(?!\S)|\s+", r"\p{N}")
DEEPSEEK_LLM = (
    r"[\r\n]",
    rf"\s?[{_CASED}]+",
    rf"\s?[{_WIDE_SIGNS}]+",
    r"\s+$",
    _FAR_EAST,
    r"\p{N}+",
)
DEEPSEEK_CODER = (r"[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", _FAR_EAST, r"\p{N}")
BLOOM = (f" ?[^{_NOT_BLOOMS}]+",)
VIKING = (*BLOOM, r"\p{N}")
SUPERBPE = (r"\p{N}+", "(?<![0-9])[0-9]{1,2}(?=([0-9]{3})+(?![0-9]))", "[0-9]{3}")
CHAMELEON = (
    "<sentinel:[0-9]+>",
    "IMGIMG[A-I]{1,4}Z",
    r"[\t\n]|    |  ",
    r"\p{N}",
    r"[\p{P}!-/:-@\[-`{-~]",
    _GPT2,
)
