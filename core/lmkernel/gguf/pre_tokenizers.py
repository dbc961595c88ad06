"""What is done to a text before a byte-level BPE merges, by the names that GGUF files give it.

``tokenizer.ggml.pre`` holds a name of llama.cpp's, which several families share.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, final

from lmkernel.errors import CheckpointError
from lmkernel.gguf import split_expressions as words
from lmkernel.tokenizers.library import tokenizers_package

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lmkernel.gguf.file import GgufFile

__all__ = ["PRE_TOKENIZERS", "pre_tokenizer_of", "warn_of_no_name"]

_KEY = "tokenizer.ggml.pre"


@final
@dataclass(frozen=True, kw_only=True)
class PreTokenizer:
    """One way to treat a text.

    Args:
        splits: expressions, each of which splits what those before it left whole.
        ignore_merges: whether a word that is a token is not merged.
        composes: whether characters are composed first (Unicode's NFC).
        adds_bos: whether texts begin with BOS where the file does not say.
    """

    splits: tuple[str, ...]
    ignore_merges: bool = False
    composes: bool = False
    adds_bos: bool = False

    def split(self) -> Any:
        """The step that splits, for the ``tokenizers`` library."""
        library = tokenizers_package()
        steps = library.pre_tokenizers
        splits = [steps.Split(library.Regex(one), "isolated") for one in self.splits]
        return steps.Sequence([*splits, steps.ByteLevel(add_prefix_space=False, use_regex=False)])


def _table() -> Iterator[tuple[str, PreTokenizer]]:
    for names, pre in (
        ("default", PreTokenizer(splits=words.DEFAULT)),
        (
            "gpt-2 phi-2 olmo mpt jais jina-es jina-de jina-v2-es jina-v2-de modern-bert gigachat",
            PreTokenizer(splits=words.GPT2),
        ),
        ("a.x-4.0 mellum exaone4 trillion granite-docling", PreTokenizer(splits=words.GPT2)),
        (
            "smollm starcoder refact command-r codeshell exaone minerva-7b mellum2",
            PreTokenizer(splits=words.SINGLE_DIGITS),
        ),
        (
            "llama-bpe llama3 llama-v3 falcon3 falcon-h1 pixtral midm-2.0 lfm2 jina-v5-nano",
            PreTokenizer(splits=words.LLAMA3, ignore_merges=True, adds_bos=True),
        ),
        ("dbrx smaug-bpe chatglm-bpe", PreTokenizer(splits=words.LLAMA3)),
        ("glm4 glm5", PreTokenizer(splits=words.LLAMA3, ignore_merges=True)),
        ("qwen2", PreTokenizer(splits=words.QWEN2, composes=True)),
        (
            "deepseek-r1-qwen megrez stablelm2 hunyuan solar-open kormo f2llmv2 grok-2",
            PreTokenizer(splits=words.QWEN2),
        ),
        ("qwen35", PreTokenizer(splits=words.QWEN35, composes=True)),
        ("gpt-4o llama4 kanana2 talkie minimax-m2", PreTokenizer(splits=words.GPT4O)),
        ("granite-embed-multi-97m", PreTokenizer(splits=words.GPT4O_MARKS, ignore_merges=True)),
        ("tekken", PreTokenizer(splits=words.TEKKEN, ignore_merges=True, adds_bos=True)),
        ("deepseek-llm", PreTokenizer(splits=words.DEEPSEEK_LLM)),
        ("deepseek-coder", PreTokenizer(splits=words.DEEPSEEK_CODER)),
        ("deepseek-v3 hunyuan-dense joyai-llm hy_v4", PreTokenizer(splits=words.DEEPSEEK)),
        ("spark2_5", PreTokenizer(splits=words.SPARK)),
        ("falcon", PreTokenizer(splits=words.FALCON)),
        ("bloom poro-chat gpt3-finnish", PreTokenizer(splits=words.BLOOM)),
        ("viking", PreTokenizer(splits=words.VIKING)),
        ("seed-coder", PreTokenizer(splits=words.SEED)),
        ("kimi-k2", PreTokenizer(splits=words.KIMI)),
        ("superbpe", PreTokenizer(splits=words.SUPERBPE)),
        ("bailingmoe bailingmoe2 llada-moe", PreTokenizer(splits=words.BAILING)),
        ("minicpm5", PreTokenizer(splits=words.MINICPM, ignore_merges=True)),
        ("jais-2", PreTokenizer(splits=words.JAIS2)),
        ("exaone-moe", PreTokenizer(splits=words.EXAONE_MOE)),
        ("laguna", PreTokenizer(splits=words.LINES)),
        ("ufakzeka", PreTokenizer(splits=words.TURKISH)),
        ("chameleon", PreTokenizer(splits=words.CHAMELEON, adds_bos=True)),
    ):
        yield from ((name, pre) for name in names.split())


PRE_TOKENIZERS = MappingProxyType(dict(_table()))
"""By the format's names of pre-tokenisers, which families share and of which some have several."""


def pre_tokenizer_of(file: GgufFile) -> PreTokenizer:
    """The one that a file names; llama.cpp's default, where it names none.

    Raises:
        CheckpointError: a name that is not known here.
    """
    name = file.metadata.get(_KEY) or "default"
    if not isinstance(name, str) or name not in PRE_TOKENIZERS:
        known = ", ".join(PRE_TOKENIZERS)
        raise CheckpointError(f"{file.path}: {_KEY}: expected one of {known}, got {name!r:.200}")
    return PRE_TOKENIZERS[name]


def warn_of_no_name(file: GgufFile) -> None:
    """Say that words are split by default, where a file does not name a pre-tokeniser."""
    if not file.metadata.get(_KEY):
        text = (
            f"{file.path}: {_KEY} is missing: texts are split into words as llama.cpp does by "
            "default, so their ids may differ from the original model's"
        )
        warnings.warn(text, stacklevel=2)
