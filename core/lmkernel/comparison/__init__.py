"""One checkpoint on several backends: which tokens, how far the logits, and where they part."""
