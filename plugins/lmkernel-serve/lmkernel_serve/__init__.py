"""A plugin of lmkernel: models behind OpenAI's interface."""
