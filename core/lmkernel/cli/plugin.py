"""Registers the built-in commands; imports none of them."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from lmkernel.plugins import CommandSpec, hookimpl

if TYPE_CHECKING:
    from collections.abc import Mapping

_HELP: Mapping[str, str] = MappingProxyType(
    {
        "backends:Backends": "list the backends and what each declares",
        "models:Models": "list the models that are known by name or here already",
        "pull:Pull": "fetch a model by name",
        "chat:Chat": "talk with a model",
        "generate:Generate": "continue a prompt",
        "translate:Translate": "translate texts, with an encoder-decoder",
        "summarize:Summarize": "say what texts say in fewer words, with an encoder-decoder",
        "caption:Caption": "say what is seen in pictures",
        "transcribe:Transcribe": "write down what is spoken in a sound",
        "pretrain:Pretrain": (
            "train a model on unlabelled text; without arguments, a small one in two minutes"
        ),
        "finetune:Finetune": "go on training a model on instructions, labels or text",
        "plan:Plan": "say what training a model would hold and send on each device of a mesh",
        "evaluate:Evaluate": "measure a model on data: loss, perplexity, accuracy",
        "classify:Classify": "tell the classes of texts, or of pictures by labels in words",
        "tag:Tag": "tag the words of texts, such as names, with a model fine-tuned for that",
        "fill:Fill": "guess what stands at the masks of texts",
        "answer:Answer": "answer questions from documents",
        "rerank:Rerank": "sort documents by how well they fit a query",
        "perplexity:Perplexity": "say how well a model predicts each text",
        "embed:Embed": "make a vector of each text or picture, or find those nearest to each",
        "compare:Compare": "run one prompt on several backends and compare what comes out",
        "verify:Verify": (
            "is somebody else's implementation of a checkpoint right, and where does it part"
        ),
        "bench:Bench": "measure how fast a model answers here, beside what the machine allows",
        "quantize:Quantize": "write a model with weights of 4 or 8 bits, for transformers and here",
        "twin:Twin": "write a small random checkpoint of the same structure as a model",
        "new:New": (
            "begin a backend or another plugin: a distribution that installs and runs at once"
        ),
    }
)
"""By module and class; a command is named after its module."""


@hookimpl
def lmkernel_register_commands() -> list[CommandSpec]:
    """What the program can do, in the order of its help."""
    return [
        CommandSpec(
            name=where.partition(":")[0], contract="1.0", load=f"lmkernel.cli.{where}", help=text
        )
        for where, text in _HELP.items()
    ]
