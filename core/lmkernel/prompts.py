"""What a model is asked: a text, ids or a conversation, with pictures or without."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Sized
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

import numpy as np

from lmkernel.arguments import as_items, is_empty
from lmkernel.checkpoints.directory import PREPROCESSOR
from lmkernel.errors import CheckpointError, InputError, shown
from lmkernel.families.hf_config import HfConfig
from lmkernel.inspection.inputs import check_ids, conversation, prompt_ids, refuse_long
from lmkernel.inspection.pictures import several_pictures
from lmkernel.pictures.reading import picture_name, read_picture
from lmkernel.pictures.tiles import read_tiles
from lmkernel.results import counted
from lmkernel.tokenizers.checks import check_text
from lmkernel.tokenizers.contents import text_parts
from lmkernel.tokenizers.ended import ended_ids

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lmkernel.config import SightConfig
    from lmkernel.inspection.pictures import Picture
    from lmkernel.language_model import LanguageModel
    from lmkernel.pictures.tiles import Tiles

    Pictures = Picture | Sequence[Picture] | None

__all__ = ["Prompt", "chat_prompt", "prompt_of", "several_prompts"]


@final
@dataclass(frozen=True)
class Prompt:
    """What a decoder is fed.

    Args:
        ids: of the tokens.
        pixels: of the pictures whose vectors stand in the places of some, float32
            ``(pictures, channels, height, width)``; or None.
    """

    ids: list[int]
    pixels: NDArray[np.float32] | None = None

    def __len__(self) -> int:
        return len(self.ids)


def prompt_of(
    model: LanguageModel, given: Any, pictures: Pictures = None, *, special_tokens: bool = True
) -> Prompt:
    """A text, or ids, as a prompt; checked here, once for every backend.

    Args:
        model: which is asked.
        given: a text, ids, or a prompt already.
        pictures: those that it names, in their order.
        special_tokens: whether the tokenizer puts its own around a text.

    Raises:
        InputError: nothing, no ids of the vocabulary, more than the context; or other pictures
            than it names, ones that cannot be read, or any for a model that sees none.
        CheckpointError: the model's files do not say how pictures are prepared.
    """
    if isinstance(given, Prompt):
        return given
    if is_empty(given):
        raise InputError("expected a prompt of at least one token, got an empty one")
    if isinstance(given, str):
        refuse_long(model, given)
    sight, pixels = model.config.sight, None
    several = [] if pictures is None else several_pictures(pictures)[1]
    if sight is None and several:
        raise _sees_none(model)
    if sight is not None and (several or isinstance(given, str)):
        made = _tiles(model, sight, several)
        given = _with_tokens(model, sight, given, made)
        pixels = np.concatenate([one.pixels for one in made]) if made else None
    if model.reads_sources and special_tokens and isinstance(given, str):
        given = ended_ids(model.tokenizer, given)
    ids = prompt_ids(model, given, special_tokens=special_tokens)
    check_ids(model.config, ids)
    if sight is not None and pixels is not None:
        _check_places(ids, sight, len(pixels))
    return Prompt(ids, pixels)


def several_prompts(model: LanguageModel, given: object) -> list[Prompt]:
    """Several texts, ids or prompts; `InputError` for anything else."""
    rows = None if isinstance(given, Mapping) else as_items(given)
    if not rows or not all(isinstance(row, Sized) for row in rows):
        raise InputError(
            "expected several prompts, each a text or its ids, "
            f"got {shown(given)}; see `generate` for one"
        )
    return [prompt_of(model, row) for row in rows]


def chat_prompt(
    model: LanguageModel, asked: object, pictures: Pictures = None, begun: str = ""
) -> Prompt:
    """A question or a conversation as a prompt, by the model's chat template.

    Args:
        model: which is asked.
        asked: a question, or messages, whose content may be parts:
            ``{"type": "image", "image": …}`` and ``{"type": "text", "text": …}``.
        pictures: those of parts that name none; without such parts, they stand before the first
            message of a user.
        begun: what the answer begins with.

    Raises:
        TemplateError: the model has no chat template, or it fails.
        InputError, CheckpointError: as of `prompt_of`.
    """
    messages = conversation(asked)
    check_text(begun)
    if model.config.sight is None and not _named(messages):
        # a message is a text of its own, which begins without a space
        text = model.tokenizer.chat(messages) + begun
        return prompt_of(model, text, pictures, special_tokens=False)
    if model.config.sight is None:
        raise _sees_none(model)
    several = [] if pictures is None else several_pictures(pictures)[1]
    parted, found = _parts(messages, several)
    text, first = model.tokenizer.chat(parted) + begun, model.tokenizer.bos_id
    # as transformers' processors do: a template that does not write the first token leaves it out
    written = first is None or text.startswith(model.tokenizer.token(first))
    return prompt_of(model, text, found, special_tokens=not written)


def _sees_none(model: LanguageModel) -> InputError:
    return InputError(
        f"pictures: expected a model that is shown some, such as SmolVLM or LLaVA, got a "
        f"{model.origin.model_type} model"
    )


def _named(messages: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a part of a message is a picture."""
    contents = (message.get("content") for message in messages)
    parts = (part for content in contents if isinstance(content, list) for part in content)
    return any(isinstance(part, Mapping) and part.get("type") == "image" for part in parts)


def _parts(
    messages: Sequence[Mapping[str, Any]], pictures: Sequence[Picture]
) -> tuple[list[dict[str, Any]], list[Picture]]:
    """Messages whose content is parts, and the pictures that these name, in their order."""
    listed = [{**message, "content": _content(message)} for message in messages]
    images = [part for message in listed for part in message["content"] if part["type"] == "image"]
    given, first = list(pictures), next((m for m in listed if m["role"] == "user"), None)
    if not images and given and first is not None:
        images = [{"type": "image"} for _ in given]
        first["content"] = [*images, *first["content"]]
    found = [part.get("image") if "image" in part else _next(given) for part in images]
    if given:
        named = counted(len(images), "picture")
        raise InputError(f"the messages name {named}, got {len(given)} more than that")
    for message in listed:
        message["content"] = [
            {"type": "image"} if part["type"] == "image" else part for part in message["content"]
        ]
    return listed, [one for one in found if one is not None]


def _next(pictures: list[Picture]) -> Picture:
    if not pictures:
        raise InputError("the messages name more pictures than there are; expected one for each")
    return pictures.pop(0)


def _content(message: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The content of a message as parts."""
    content = message.get("content")
    if isinstance(content, str):
        return text_parts(content)
    parts: Sequence[Any] = content if isinstance(content, list | tuple) else [content]
    for part in parts:
        kind = part.get("type") if isinstance(part, Mapping) else None
        if kind != "image" and not (kind == "text" and isinstance(part.get("text"), str)):
            raise InputError(
                'content: expected a text, or parts {"type": "text", "text": …} and '
                f'{{"type": "image", "image": …}}, got {shown(part)}'
            )
    return [dict(part) for part in parts]


def _tiles(model: LanguageModel, sight: SightConfig, pictures: Sequence[Picture]) -> list[Tiles]:
    """The tiles of each picture, as the model's own processor makes them."""
    if not pictures:
        return []
    said, path = model.files.preprocessor, model.files.path / PREPROCESSOR
    if not said:
        raise CheckpointError(f"{path}: no such file says how pictures are prepared")
    process = read_tiles(HfConfig(said, str(path)), model.origin.family.processor)
    patches = sight.pictures.embedding.patches
    wanted = (patches.channels, patches.height, patches.width) if patches else ()
    made = []
    for picture in pictures:
        tiles = process(read_picture(picture))
        if tiles.pixels.shape[1:] != wanted:
            raise CheckpointError(
                f"{path}: the model reads pictures of {' × '.join(map(str, wanted))} (channels, "
                f"height, width), got {' × '.join(map(str, tiles.pixels.shape[1:]))} of "
                f"{picture_name(picture)}"
            )
        made.append(tiles)
    return made


def _with_tokens(model: LanguageModel, sight: SightConfig, given: Any, made: list[Tiles]) -> Any:
    """A text with the tokens of each picture in the place of its name; ids as they are."""
    if not isinstance(given, str):
        return given
    name, tokens = model.tokenizer.token(sight.token), model.origin.family.picture_tokens()
    if not name:
        raise CheckpointError(f"{model.origin.where}: the tokenizer has no token {sight.token}")
    pieces = given.split(name)
    if len(pieces) - 1 != len(made):
        named = counted(len(pieces) - 1, "picture")
        raise InputError(f"the prompt names {named} (as {name}), got {len(made)}")
    shown = [tokens.text(name * sight.count, one.rows, one.columns) for one in made]
    return pieces[0] + "".join(a + b for a, b in zip(shown, pieces[1:], strict=True))


def _check_places(ids: Sequence[int], sight: SightConfig, pictures: int) -> None:
    places, vectors = ids.count(sight.token), pictures * sight.count
    if places != vectors:
        raise InputError(
            f"expected {vectors} tokens {sight.token} for the vectors of {pictures} tiles, got "
            f"{places}"
        )
