"""Where a defect is seen first, as `verify` names it."""

from __future__ import annotations

EMB, ATT, MLP, END = "embedding", "layer 0 (attention)", "layer 0 (feed-forward)", "final norm"
TRUNCATED = "layer 0, or the embedding, the final norm or the head around it"
LATER = "layer 1 (feed-forward)"
