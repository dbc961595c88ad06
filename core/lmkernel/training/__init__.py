"""Training: a trainer, its optimizers and schedules, its data, its checkpoints."""
