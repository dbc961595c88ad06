"""The certificate of a server: whether it keeps to OpenAI's interface as clients depend on it."""
