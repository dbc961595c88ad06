"""What is seen in pictures, in words."""
