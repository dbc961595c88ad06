"""Settings: TOML and flags turned into frozen dataclasses, with the line of whatever is wrong."""
