"""The processes of a run: how they are found, started, and brought to agree."""
