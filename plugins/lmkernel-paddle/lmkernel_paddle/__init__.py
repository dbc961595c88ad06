"""The Paddle backend of lmkernel."""
