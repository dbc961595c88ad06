"""Rendered shapes with their captions, and a small CLIP that learns to tell them apart."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, ImageDraw

import lmkernel as lk
from lmkernel.checkpoints.directory import write_directory
from lmkernel.families.bert import Bert
from lmkernel.families.family import HfConfig, find_family
from lmkernel.families.names import from_ours
from lmkernel.model import Model
from lmkernel.model.pair import similarity
from lmkernel.parameters import flatten, nest
from lmkernel.pictures.processor import read_processor
from lmkernel.tokenizers.sentences import sentence_ids
from lmkernel.training.config import OptimizerConfig
from lmkernel.training.data.vocabulary import train_tokenizer
from lmkernel.training.step.optimizers.adam import AdamW

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

SIZE = 32
"""Pixels of a picture's side."""
COLOURS = {"red": (220, 40, 40), "green": (40, 180, 60), "blue": (50, 70, 220)}
CORNERS = {"triangle": 3, "square": 4, "star": 5, "circle": 60}
LABELS = tuple(f"{colour} {shape}" for colour, shape in itertools.product(COLOURS, CORNERS))
GROUPS = 4
"""Pictures of each label in a batch."""
TEMPLATE = "a {}"
"""A caption of a label."""


def render(label: str, drawn: np.random.Generator) -> NDArray[np.uint8]:
    """A picture of a label: of some size, moved and turned a little, over noise."""
    colour, shape = label.split()
    noise = drawn.integers(0, 90, (SIZE, SIZE, 3), dtype=np.uint8)
    image = Image.fromarray(noise)
    radius, turn = drawn.uniform(9, 13), drawn.uniform(-0.25, 0.25)
    x, y = drawn.uniform(SIZE / 2 - 3, SIZE / 2 + 3, 2)
    star = shape == "star"  # every other corner lies further inside
    count = CORNERS[shape] * (2 if star else 1)
    points = []
    for corner in range(count):
        angle = turn + corner * 2 * math.pi / count
        reach = radius * (0.4 if star and corner % 2 else 1.0)
        points.append((x + reach * math.cos(angle), y + reach * math.sin(angle)))
    shade = tuple(int(np.clip(c + drawn.integers(-30, 30), 0, 255)) for c in COLOURS[colour])
    ImageDraw.Draw(image).polygon(points, fill=shade)
    return np.asarray(image)


def learn_shapes(folder: Path, backend: str, steps: int) -> Path:
    """A folder of a CLIP that has seen so many batches of `GROUPS` pictures of each label."""
    tokenizer = train_tokenizer(list(LABELS), 300, Bert().special_tokens())
    tower = {
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
    }
    text = {"vocab_size": tokenizer.vocab_size, "max_position_embeddings": 16}
    ends = {"eos_token_id": tokenizer.special_id("sep_token"), "pad_token_id": 0}
    described: dict[str, Any] = {
        "model_type": "clip",
        "projection_dim": 32,
        "text_config": {**tower, **text, **ends},
        "vision_config": {**tower, "image_size": SIZE, "patch_size": 8},
    }
    prepared = {"image_processor_type": "ViTImageProcessor", "size": SIZE}
    family = find_family("clip", "a test")
    model = Model(lk.load_backend(backend), family.read(HfConfig(described)))
    rows = [sentence_ids(tokenizer, [TEMPLATE.format(label)], 16)[0] for label in LABELS]
    write_directory(
        folder,
        config=described,
        tensors=from_ours(_fit(model, rows, steps), family.rules(model.config), model.declare()),
        tokenizer=tokenizer,
        preprocessor=prepared,
    )
    return folder


def _fit(model: Model, rows: list[Any], steps: int) -> dict[str, NDArray[Any]]:
    """Contrastive learning (arXiv:2103.00020, fig. 3): the diagonal is right, both ways."""
    ops, count = model.backend.ops, len(rows)
    time = max(map(len, rows))
    ids = np.array([[*row, *[0] * (time - len(row))] for row in rows], np.int32)
    where = np.array([[*range(len(row)), *[-1] * (time - len(row))] for row in rows], np.int32)
    process = read_processor(HfConfig({"image_processor_type": "ViTImageProcessor", "size": SIZE}))
    drawn = np.random.default_rng(11)
    with model.backend.scope():
        texts, positions, right = (
            ops.asarray(x, "int32")
            for x in (ids, where, np.broadcast_to(np.arange(count), (GROUPS, count)).copy())
        )

        def loss(params: Any, pixels: Any) -> Any:
            assert model.pictures is not None
            vectors = model.pictures.forward(params["pictures"], pixels)
            words = model.forward(params, texts, positions=positions)
            logits = similarity(ops, params["pair"], vectors, words)
            # each group has a picture of every label, so that one of its texts fits
            groups = ops.reshape(logits, (GROUPS, count, count))
            both = groups, ops.permute_dims(groups, (0, 2, 1))
            one, other = (ops.cross_entropy(x, right) for x in both)
            return ops.sum(ops.reshape(one + other, (-1,)), 0)

        slopes, declared = ops.value_and_grad(loss), model.declare()
        params = flatten(model.place(model.initial(3)))
        optimizer = AdamW.build(ops, OptimizerConfig(weight_decay=0.01), flatten(declared))
        state = optimizer.init(params)

        def learn(params: Any, state: Any, pixels: Any, scalars: Any) -> Any:
            _, found = slopes(nest(declared, params), pixels)
            return optimizer.update(params, flatten(found), state, scalars)

        learn_once = ops.compile(learn)
        for step in range(1, steps + 1):
            pixels = np.stack([process(render(label, drawn)) for label in LABELS * GROUPS])
            rate = 2e-3 * min(1.0, step / 50) * (1 - step / (steps + 1))
            numbers = {**optimizer.scalars(step, rate), "grad_scale": 0.5 / count / GROUPS}
            scalars = {name: ops.asarray(value, "float32") for name, value in numbers.items()}
            params, state = learn_once(params, state, ops.asarray(pixels, "float32"), scalars)
        return {name: ops.to_numpy(x) for name, x in params.items()}
