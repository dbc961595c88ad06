"""A model of the Language Model Evaluation Harness; importing this registers it."""

from lmkernel_lm_eval.model import LmkernelLM

__all__ = ["LmkernelLM"]
