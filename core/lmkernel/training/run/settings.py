"""A run, described: what a settings file or a command's flags can say.

Constraints: frozen and validated; every default is one that trains something sensible. What a name
means is looked up when the run begins.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, final

from lmkernel.config.check import one_of, positive, require
from lmkernel.contract.distribution import Mesh
from lmkernel.families import DEFAULT_FAMILY
from lmkernel.families.sizes import Sizes
from lmkernel.training.config import LoraConfig, OptimizerConfig, ScheduleConfig
from lmkernel.training.objectives import COLUMNS, OBJECTIVES, TURNS

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "DataSettings",
    "ModelSettings",
    "RunSettings",
    "StepSettings",
]

_MOST_LAYERS, _MOST_IDS = 10_000, 2**22


@final
@dataclass(frozen=True, kw_only=True)
class ModelSettings:
    """What is trained: a checkpoint to go on from, or a new model of a family.

    Args:
        start: a name, folder or GGUF file as ``lmkernel chat`` takes it; empty for a new model.
        family: of a new model, by the ``model_type`` of its ``config.json``.
        width, layers, heads, hidden: of a new model: its hidden size, the number of its layers and
            attention heads; ``hidden`` is the inner width of its
            feed-forward part, by default 4 · width.
        context: the largest number of positions of a new model.
        vocab: size of the tokenizer that is trained for a new model.
        tokenizer: a folder whose tokenizer a new model takes, in place of training one.
        dropout: rate of a new model's dropout.
        chat_template: ``"plain"``, ``"chatml"`` or a file, which the model gets and keeps; empty
            for its own, and ``"plain"`` for conversations where it has none.
    """

    start: str = ""
    family: str = DEFAULT_FAMILY
    width: int = 128
    layers: int = 4
    heads: int = 4
    hidden: int = 0
    context: int = 128
    vocab: int = 4096
    tokenizer: str = ""
    dropout: float = 0.0
    chat_template: str = ""

    def __post_init__(self) -> None:
        positive(self, "width", "layers", "heads", "context", "vocab")
        require(self, "layers", f"at most {_MOST_LAYERS}", ok=self.layers <= _MOST_LAYERS)
        require(self, "vocab", f"at most {_MOST_IDS}", ok=self.vocab <= _MOST_IDS)
        require(self, "hidden", "0 or more", ok=self.hidden >= 0)
        require(self, "heads", f"a divisor of width={self.width}", ok=self.width % self.heads == 0)
        require(self, "dropout", "a probability in [0, 1)", ok=0 <= self.dropout < 1)

    @property
    def sizes(self) -> Sizes:
        """The sizes of a new model."""
        same = {one.name for one in fields(Sizes)} - {"inner"}
        shared = {name: getattr(self, name) for name in same}
        return Sizes(inner=self.hidden or 4 * self.width, **shared)


@final
@dataclass(frozen=True, kw_only=True)
class DataSettings:
    """What it is trained on.

    Args:
        train: a file or folder (text, JSONL, CSV, Parquet), ``datasets:NAME``, or the name of a
            built-in text: ``"python-topics"``.
        validation: the same, of what is held out; empty for a share of ``train``.
        validation_share: the share held out.
        columns: other names for the columns ``text``, ``second`` (read if it is named), ``label``,
            ``source`` and ``target``; and for ``messages``, ``prompt``, ``completion``, ``input``,
            ``system`` and ``tools``, which are known by several names; and ``sound``.
        turns: which turns of the assistant are learned: ``"all"`` or the ``"last"`` one.
        context: most positions of an example; 0 for the model's context.
        truncate: whether longer examples are cut there; else they are an error.
        blank_lines: whether blank lines part the documents of a text file.
    """

    train: str = "python-topics"
    validation: str = ""
    validation_share: float = 0.1
    columns: Mapping[str, str] = field(default_factory=dict)
    turns: str = "all"
    context: int = 0
    truncate: bool = False
    blank_lines: bool = False

    def __post_init__(self) -> None:
        one_of(self, "turns", TURNS)
        known = set(self.columns) <= set(COLUMNS)
        require(self, "columns", "names for some of " + ", ".join(COLUMNS), ok=known)
        share = 0 < self.validation_share < 1
        require(self, "validation_share", "a share between 0 and 1", ok=share)
        require(self, "context", "0 or more", ok=self.context >= 0)


@final
@dataclass(frozen=True, kw_only=True)
class StepSettings:
    """How long and how large.

    Args:
        steps: optimizer steps of the whole run.
        batch: rows of one micro-batch.
        accumulate: micro-batches of one step.
        clip: largest global norm of the gradient, or 0.
        smoothing: label smoothing.
        precision: dtype of the computation: ``"float32"``, or ``"bfloat16"`` beside parameters in
            float32.
        remat: whether inner values are computed again in the backward pass, which saves memory.
        seed: of first weights, data order and dropout.
        evaluate_every, checkpoint_every: steps between; 0 for at the end alone.
        keep: how many of the last checkpoints stay, beside the best.
        patience: evaluations without a better loss after which the run stops; 0 for never.
    """

    steps: int = 300
    batch: int = 16
    accumulate: int = 1
    clip: float = 1.0
    smoothing: float = 0.0
    precision: str = "float32"
    remat: bool = False
    seed: int = 0
    evaluate_every: int = 50
    checkpoint_every: int = 100
    keep: int = 2
    patience: int = 0

    def __post_init__(self) -> None:
        positive(self, "steps", "batch", "accumulate", "keep")
        one_of(self, "precision", ("float32", "bfloat16"))
        require(self, "smoothing", "a share in [0, 1)", ok=0 <= self.smoothing < 1)
        require(self, "seed", "0 to 2**64 - 1", ok=0 <= self.seed < 1 << 64)
        for name in ("clip", "evaluate_every", "checkpoint_every", "patience"):
            require(self, name, "0 or more", ok=getattr(self, name) >= 0)


@final
@dataclass(frozen=True, kw_only=True)
class RunSettings:
    """Everything that a run follows from.

    Args:
        objective: one of `OBJECTIVES`.
        backend, device: where it runs; empty for the default.
        mesh: how several processes are arranged, such as ``"data=2,fsdp=4"``; empty to divide the
            rows of each batch among them.
        trackers: names of trackers besides the run's own folder.
        lora: adapters in place of the whole model, or None.
        merge: whether the resulting model has the adapters merged into its weights.
    """

    objective: str = "causal"
    backend: str = ""
    device: str = ""
    mesh: str = ""
    trackers: tuple[str, ...] = ()
    model: ModelSettings = field(default_factory=ModelSettings)
    data: DataSettings = field(default_factory=DataSettings)
    training: StepSettings = field(default_factory=StepSettings)
    optimizer: OptimizerConfig = field(
        default_factory=lambda: OptimizerConfig(kind="adamw", beta2=0.98, weight_decay=0.1)
    )
    schedule: ScheduleConfig = field(
        default_factory=lambda: ScheduleConfig(kind="cosine", rate=2e-3, warmup=20, floor=0.1)
    )
    lora: LoraConfig | None = None
    merge: bool = False

    def __post_init__(self) -> None:
        one_of(self, "objective", OBJECTIVES)
        Mesh.parse(self.mesh)
        needless = self.merge and self.lora is None
        require(self, "merge", "true only beside adapters: [lora]", ok=not needless)
        fresh = self.lora is not None and not self.model.start
        require(self, "lora", "none for a new model: adapters need model.start", ok=not fresh)
