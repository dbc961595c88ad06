"""lmkernel: one language model, every backend.

The public names are imported when they are first used, so that ``import lmkernel`` is light.
"""

from __future__ import annotations

TYPE_CHECKING = False  # importing typing for it would take longer than all else here
if TYPE_CHECKING:
    from typing import Any

    from lmkernel.backend import Backend, load_backend
    from lmkernel.benchmark.outcome import Benchmark
    from lmkernel.benchmark.verb import bench
    from lmkernel.captions.outcome import Caption, Captions
    from lmkernel.captions.verbs import caption
    from lmkernel.comparison.outcome import Comparison, LayerComparison
    from lmkernel.comparison.verb import compare, compare_layers
    from lmkernel.description import Description
    from lmkernel.errors import LmkernelError
    from lmkernel.generation import GenerationOptions, TextGeneration
    from lmkernel.inspection import Classification, Classifications, LogProbs
    from lmkernel.language_model import LanguageModel
    from lmkernel.listing.backends import BackendList, backends
    from lmkernel.listing.models import ModelList, models
    from lmkernel.loading import load, load_model
    from lmkernel.model import Model
    from lmkernel.outside import certify, export
    from lmkernel.quantization import Quantization, quantize
    from lmkernel.rewriting.outcome import Rewriting, Rewritings
    from lmkernel.rewriting.verbs import summarize, translate
    from lmkernel.speech.outcome import Transcript
    from lmkernel.speech.sounds import Sound
    from lmkernel.speech.verbs import transcribe
    from lmkernel.training.outcome import Evaluation, TrainingRun
    from lmkernel.training.planning.plan import Plan
    from lmkernel.training.planning.verb import plan
    from lmkernel.training.verbs import evaluate, finetune, pretrain, resume
    from lmkernel.verbs import answer, classify, fill, perplexity, pull, rerank, tag
    from lmkernel.verification.outcome import Verification
    from lmkernel.verification.twin import Twin, twin
    from lmkernel.verification.verb import verify

__all__ = [
    "Backend",
    "BackendList",
    "Benchmark",
    "Caption",
    "Captions",
    "Classification",
    "Classifications",
    "Comparison",
    "Description",
    "Evaluation",
    "GenerationOptions",
    "LanguageModel",
    "LayerComparison",
    "LmkernelError",
    "LogProbs",
    "Model",
    "ModelList",
    "Plan",
    "Quantization",
    "Rewriting",
    "Rewritings",
    "Sound",
    "TextGeneration",
    "TrainingRun",
    "Transcript",
    "Twin",
    "Verification",
    "answer",
    "backends",
    "bench",
    "caption",
    "certify",
    "classify",
    "compare",
    "compare_layers",
    "evaluate",
    "export",
    "fill",
    "finetune",
    "load",
    "load_backend",
    "load_model",
    "models",
    "perplexity",
    "plan",
    "pretrain",
    "pull",
    "quantize",
    "rerank",
    "resume",
    "summarize",
    "tag",
    "transcribe",
    "translate",
    "twin",
    "verify",
]

_HOMES = {
    "Backend": "lmkernel.backend",
    "BackendList": "lmkernel.listing.backends",
    "Benchmark": "lmkernel.benchmark.outcome",
    "Caption": "lmkernel.captions.outcome",
    "Captions": "lmkernel.captions.outcome",
    "Classification": "lmkernel.inspection",
    "Classifications": "lmkernel.inspection",
    "Comparison": "lmkernel.comparison.outcome",
    "Description": "lmkernel.description",
    "Evaluation": "lmkernel.training.outcome",
    "GenerationOptions": "lmkernel.generation",
    "LanguageModel": "lmkernel.language_model",
    "LayerComparison": "lmkernel.comparison.outcome",
    "LmkernelError": "lmkernel.errors",
    "LogProbs": "lmkernel.inspection",
    "Model": "lmkernel.model",
    "ModelList": "lmkernel.listing.models",
    "Plan": "lmkernel.training.planning.plan",
    "Quantization": "lmkernel.quantization",
    "Rewriting": "lmkernel.rewriting.outcome",
    "Rewritings": "lmkernel.rewriting.outcome",
    "Sound": "lmkernel.speech.sounds",
    "TextGeneration": "lmkernel.generation",
    "TrainingRun": "lmkernel.training.outcome",
    "Transcript": "lmkernel.speech.outcome",
    "Twin": "lmkernel.verification.twin",
    "Verification": "lmkernel.verification.outcome",
    "answer": "lmkernel.verbs",
    "backends": "lmkernel.listing.backends",
    "bench": "lmkernel.benchmark.verb",
    "caption": "lmkernel.captions.verbs",
    "certify": "lmkernel.outside",
    "classify": "lmkernel.verbs",
    "compare": "lmkernel.comparison.verb",
    "compare_layers": "lmkernel.comparison.verb",
    "evaluate": "lmkernel.training.verbs",
    "export": "lmkernel.outside",
    "fill": "lmkernel.verbs",
    "finetune": "lmkernel.training.verbs",
    "load": "lmkernel.loading",
    "load_backend": "lmkernel.backend",
    "load_model": "lmkernel.loading",
    "models": "lmkernel.listing.models",
    "perplexity": "lmkernel.verbs",
    "plan": "lmkernel.training.planning.verb",
    "pretrain": "lmkernel.training.verbs",
    "pull": "lmkernel.verbs",
    "quantize": "lmkernel.quantization",
    "rerank": "lmkernel.verbs",
    "resume": "lmkernel.training.verbs",
    "summarize": "lmkernel.rewriting.verbs",
    "tag": "lmkernel.verbs",
    "transcribe": "lmkernel.speech.verbs",
    "translate": "lmkernel.rewriting.verbs",
    "twin": "lmkernel.verification.twin",
    "verify": "lmkernel.verification.verb",
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("lmkernel")
    if name not in _HOMES:
        raise AttributeError(f"module 'lmkernel' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
