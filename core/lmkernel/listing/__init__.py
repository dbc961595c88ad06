"""What is there: the backends and the models that are known or on this machine."""
