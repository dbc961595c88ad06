"""The subjects that are built in."""
