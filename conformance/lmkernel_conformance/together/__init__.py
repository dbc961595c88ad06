"""What several processes do together, for the level ``distribution``, and how they are started."""
