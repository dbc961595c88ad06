"""What the tensors of a quantised weight mean, by method."""
