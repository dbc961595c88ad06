"""transformers on torch: GPT-2, the fused AdamW that its trainer takes, clipping.

Variants:
    float32: everything in float32.
    autocast: the forward pass under bfloat16 autocast, as its trainer's ``bf16=True``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from steps import read_task, report, time_steps
from transformers import GPT2Config, GPT2LMHeadModel

if TYPE_CHECKING:
    from steps import Task, Tokens


class _Training:
    """One model and its optimizer."""

    def __init__(self, task: Task) -> None:
        torch.manual_seed(0)
        config = GPT2Config(
            vocab_size=task.vocab,
            n_positions=task.time,
            n_embd=task.hidden_size,
            n_layer=task.layers,
            n_head=task.heads,
            n_inner=task.mlp_size,
            resid_pdrop=0.0,
            embd_pdrop=0.0,
            attn_pdrop=0.0,
        )
        self.narrow, self.clip = task.variant == "autocast", task.clip
        self.model = GPT2LMHeadModel(config).train()
        self.optimizer = torch.optim.AdamW(
            self.model.parameters(),
            lr=task.learning_rate,
            betas=(task.beta1, task.beta2),
            eps=task.eps,
            weight_decay=task.decay,
            fused=True,
        )

    def step(self, inputs: Tokens, targets: Tokens) -> float:
        """The loss of one step; the targets are shifted already."""
        ids, shifted = (torch.from_numpy(x).long() for x in (inputs, targets))
        with torch.autocast("cpu", torch.bfloat16, enabled=self.narrow):
            loss = self.model(ids, labels=ids, shift_labels=shifted).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.clip)
        self.optimizer.step()
        self.optimizer.zero_grad()
        return float(loss)


def main() -> None:
    """Train, print."""
    task = read_task()
    curve = time_steps(task, _Training(task).step)
    report(curve, ["transformers", "torch"], torch.get_num_threads())


if __name__ == "__main__":
    main()
