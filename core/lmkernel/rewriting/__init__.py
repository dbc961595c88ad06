"""Texts from texts: what an encoder-decoder makes of each, such as a translation or a summary."""
