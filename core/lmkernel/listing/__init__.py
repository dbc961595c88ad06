"""Lists of what is available: backends, and models known by name or on this machine."""
