"""The classes of pictures: the model's own, or those that words describe."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

from lmkernel.errors import InputError, shown
from lmkernel.inspection.classification import classifier, has_several_labels, plain_scores
from lmkernel.inspection.pair_texts import text_vectors
from lmkernel.inspection.pictures import picture_outputs, several_pictures
from lmkernel.inspection.sentence_rows import label_names, probabilities
from lmkernel.model.pair import similarity
from lmkernel.pictures.reading import picture_name
from lmkernel.results import Line, Lines

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from lmkernel.inspection.pictures import Picture
    from lmkernel.language_model import LanguageModel

__all__ = ["TEMPLATE", "PictureClass", "PictureClasses", "classify_pictures"]

TEMPLATE = "This is a photo of {}."
"""What stands around a label, as in transformers' pipeline."""


@final
@dataclass(frozen=True)
class PictureClass(Line):
    """The class of a picture.

    Args:
        picture: its path, or what else it is called.
        label: of the class with the highest score.
        scores: the probability of each class by its label, in their order.
    """

    picture: str
    label: str
    scores: Mapping[str, float]

    @property
    def score(self) -> float:
        """The highest score."""
        return self.scores[self.label]

    def json(self) -> dict[str, Any]:
        """The same as plain values."""
        return {"picture": self.picture, **plain_scores(self.label, self.scores)}

    def cells(self) -> dict[str, str]:
        """Its row in a table."""
        return {"LABEL": self.label, "SCORE": f"{self.score:.4f}", "PICTURE": self.picture}


@final
class PictureClasses(Lines[PictureClass]):
    """The classes of several pictures, in their order."""


def classify_pictures(
    model: LanguageModel,
    pictures: Picture | Sequence[Picture],
    labels: Sequence[str] = (),
    *,
    template: str = TEMPLATE,
    batch: int = 8,
) -> PictureClass | PictureClasses:
    """The class of each picture, with the probability of every class.

    Args:
        model: with a head for classes (ViT, DINOv2), or one of texts and pictures (CLIP, SigLIP),
            which tells apart whatever ``labels`` say (arXiv:2103.00020, §3.1).
        pictures: a path, bytes, pixels uint8 ``(height, width, 3)``, or several of them.
        labels: of the classes, for a model of texts and pictures.
        template: what stands around a label, at ``{}``; ``"{}"`` for the label alone.
        batch: how many are computed at once.

    Returns:
        Scores are a softmax over the classes; of SigLIP, and where ``problem_type`` says that there
        may be several labels, a sigmoid of each.

    Raises:
        InputError: no picture, no labels where they are needed or some where the model has its own,
            or a model that tells no classes apart.
        CheckpointError: the model's folder does not say how pictures are prepared.
    """
    one, given = several_pictures(pictures)
    pair = model.config.pair
    find = _own_classes if pair is None else _described_classes
    found = list(find(model, given, labels, template, batch))
    return found[0] if one else PictureClasses(found)


def _own_classes(
    model: LanguageModel,
    pictures: Sequence[Picture],
    labels: Sequence[str],
    template: str,
    batch: int,
) -> Iterator[PictureClass]:
    """The classes of a model's head."""
    del template
    head = classifier(model)
    if labels:
        raise InputError(f"labels: expected none, as the model has its own, got {shown(labels)}")
    names, each = label_names(model, head), has_several_labels(model, head)
    for some, logits in picture_outputs(model, pictures, batch):
        yield from _classes(some, names, probabilities(logits, each=each))


def _described_classes(
    model: LanguageModel,
    pictures: Sequence[Picture],
    labels: Sequence[str],
    template: str,
    batch: int,
) -> Iterator[PictureClass]:
    """Classes by what their labels say: those whose texts are most similar to the picture."""
    names = _checked(labels)
    if template.count("{}") != 1:
        raise InputError(f"template: expected {{}} in it, once, got {shown(template)}")
    texts = text_vectors(model, [template.replace("{}", name) for name in names])
    ops, params, pair = model.backend.ops, model.params["pair"], model.config.pair
    for some, vectors in picture_outputs(model, pictures, batch):
        with model.backend.scope(), model.backend.inference():
            sides = (ops.asarray(x, "float32") for x in (vectors, texts))
            logits = ops.to_numpy(similarity(ops, params, *sides)).astype("float64")
        each = pair is not None and pair.bias
        yield from _classes(some, names, probabilities(logits, each=each))


def _checked(labels: object) -> tuple[str, ...]:
    """Labels, each a text of its own."""
    names = tuple(labels) if isinstance(labels, list | tuple) else ()
    texts = all(isinstance(name, str) and name.strip() for name in names)
    if not names or not texts or len(set(names)) < len(names):
        raise InputError(
            "labels: the model tells apart what they say: expected different texts, "
            f"got {shown(labels)}"
        )
    return names


def _classes(
    pictures: Sequence[Picture], names: Sequence[str], scores: NDArray[Any]
) -> Iterator[PictureClass]:
    for picture, row in zip(pictures, scores, strict=True):
        by_label = dict(zip(names, row.tolist(), strict=True))
        yield PictureClass(picture_name(picture), names[int(row.argmax())], by_label)
