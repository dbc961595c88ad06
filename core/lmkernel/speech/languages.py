"""The languages that Whisper's tokens stand for, by code and by English name."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from lmkernel.errors import UnknownNameError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

__all__ = ["LANGUAGES", "language_code"]

_PAIRS = """
en:english zh:chinese de:german es:spanish ru:russian ko:korean fr:french ja:japanese
pt:portuguese tr:turkish pl:polish ca:catalan nl:dutch ar:arabic sv:swedish it:italian
id:indonesian hi:hindi fi:finnish vi:vietnamese he:hebrew uk:ukrainian el:greek ms:malay cs:czech
ro:romanian da:danish hu:hungarian ta:tamil no:norwegian th:thai ur:urdu hr:croatian bg:bulgarian
lt:lithuanian la:latin mi:maori ml:malayalam cy:welsh sk:slovak te:telugu fa:persian lv:latvian
bn:bengali sr:serbian az:azerbaijani sl:slovenian kn:kannada et:estonian mk:macedonian br:breton
eu:basque is:icelandic hy:armenian ne:nepali mn:mongolian bs:bosnian kk:kazakh sq:albanian
sw:swahili gl:galician mr:marathi pa:punjabi si:sinhala km:khmer sn:shona yo:yoruba so:somali
af:afrikaans oc:occitan ka:georgian be:belarusian tg:tajik sd:sindhi gu:gujarati am:amharic
yi:yiddish lo:lao uz:uzbek fo:faroese ht:haitian_creole ps:pashto tk:turkmen nn:nynorsk mt:maltese
sa:sanskrit lb:luxembourgish my:myanmar bo:tibetan tl:tagalog mg:malagasy as:assamese tt:tatar
haw:hawaiian ln:lingala ha:hausa ba:bashkir jw:javanese su:sundanese yue:cantonese
"""
LANGUAGES: Mapping[str, str] = MappingProxyType(
    {pair.partition(":")[0]: pair.partition(":")[2].replace("_", " ") for pair in _PAIRS.split()}
)
"""English names by code."""
_OTHERS = """
burmese:my valencian:ca flemish:nl haitian:ht letzeburgesch:lb pushto:ps panjabi:pa moldavian:ro
moldovan:ro sinhalese:si castilian:es mandarin:zh
"""
_CODES: Mapping[str, str] = MappingProxyType(
    {name: code for code, name in LANGUAGES.items()}
    | {pair.partition(":")[0]: pair.partition(":")[2] for pair in _OTHERS.split()}
)
"""Codes by English name, of which some languages have several."""


def language_code(language: str, there: Collection[str]) -> str:
    """The code of a language among those that a model has.

    Args:
        language: its code, its token or its English name, in any case.
        there: the codes that there are.

    Raises:
        UnknownNameError: the model has no such language.
    """
    asked = language.strip().lower().removeprefix("<|").removesuffix("|>")
    code = asked if asked in there else _CODES.get(asked, asked)
    if code not in there:
        raise UnknownNameError("language", language, there)
    return code
