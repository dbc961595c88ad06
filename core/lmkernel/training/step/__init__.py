"""One training step: gradients of a total loss, then one update by an optimizer."""
