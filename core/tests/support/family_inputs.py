"""What small random checkpoints are asked: rows of unequal length, sources, sounds."""

from __future__ import annotations

import numpy as np

VOCAB, BATCH, TIME = 101, 4, 9
LENGTHS = np.array([9, 4, 7, 1])
GENERATOR = np.random.default_rng(17)
REAL = np.arange(TIME) < LENGTHS[:, None]
TOKENS = np.where(REAL, GENERATOR.integers(1, VOCAB, (BATCH, TIME)), 0)
ENDED = np.where(np.arange(TIME) == LENGTHS[:, None] - 1, VOCAB - 1, np.minimum(TOKENS, VOCAB - 2))
"""Texts whose last token is the largest of the vocabulary, and no other one."""
SOURCE_LENGTHS = np.array([6, 9, 1, 8])
SOURCE_REAL = np.arange(TIME) < SOURCE_LENGTHS[:, None]
SOURCE = np.where(SOURCE_REAL, np.random.default_rng(19).integers(1, VOCAB, (BATCH, TIME)), 0)
SOURCE_POSITIONS = np.where(SOURCE_REAL, np.arange(TIME), -1)
SOUND = np.random.default_rng(29).normal(size=(BATCH, 2 * TIME, 10)).astype(np.float32)
FIRST, STEP = 17, 6
"""How many samples the small models of sounds make a vector of, and go on by to the next one."""
SAMPLE_LENGTHS = FIRST + STEP * (LENGTHS - 1) + np.array([2, 0, 5, 1])
"""Sounds of as many vectors as there are tokens in a row, and some samples more."""
SAMPLES_REAL = np.arange(SAMPLE_LENGTHS.max()) < SAMPLE_LENGTHS[:, None]
SAMPLES = np.where(
    SAMPLES_REAL, np.random.default_rng(37).normal(size=SAMPLES_REAL.shape), 0
).astype(np.float32)
SEGMENTS = np.where(REAL, np.arange(TIME) >= LENGTHS[:, None] // 2, 0)
POSITIONS = np.where(REAL, np.arange(TIME), -1)
