"""Cases in processes of their own, which are watched, may crash, and are replaced."""
