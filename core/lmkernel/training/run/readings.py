"""The state of a run, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lmkernel.cli.style import human_size

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lmkernel.training.run.meter import Reading

__all__ = ["cost_texts", "duration", "evaluation_text", "left_text", "loss_text"]


def loss_text(reading: Reading) -> list[str]:
    """The running mean of the loss, if there is one."""
    return [] if reading.loss is None else [f"loss {reading.loss:.4f}"]


def left_text(reading: Reading) -> list[str]:
    """The time left, if it is known and there is any."""
    return [] if not reading.left else [f"{duration(reading.left)} left"]


def cost_texts(reading: Reading) -> list[str]:
    """Learning rate, speed, share of the peak, memory, as far as they are known."""
    texts = []
    if reading.rate is not None:
        texts.append(f"rate {reading.rate:.2e}")
    if reading.speed is not None:
        texts.append(f"{reading.speed:,.0f} tokens/s")
    if reading.share is not None:
        texts.append(f"{reading.share:.0%} of peak")
    if reading.memory is not None:
        texts.append(f"memory {human_size(reading.memory)}")
    if reading.peak_memory is not None:
        texts.append(f"at most {human_size(reading.peak_memory)}")
    return texts


def evaluation_text(step: int, total: int, values: Mapping[str, float]) -> str:
    """``step 200/300: validation loss 3.1021, perplexity 22.24``."""
    words = {name.rpartition("/")[2].replace("_", " "): value for name, value in values.items()}
    named = [f"{word} {value:.4f}" for word, value in words.items()]
    return f"step {step}/{total}: validation {', '.join(named)}"


def duration(seconds: float) -> str:
    """``"1:05"``, ``"2:01:05"``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
