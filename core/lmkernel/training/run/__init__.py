"""What surrounds a training run: its settings, its folder, its display, its trackers."""
