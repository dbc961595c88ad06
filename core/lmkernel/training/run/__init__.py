"""A training run: its settings, session, folder, results, display and trackers."""
