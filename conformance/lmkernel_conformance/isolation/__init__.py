"""Running cases in worker processes, which are watched, may crash, and are replaced."""
