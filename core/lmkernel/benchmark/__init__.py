"""How fast a model answers here, beside what the machine allows."""
