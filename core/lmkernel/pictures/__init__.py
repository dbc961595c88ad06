"""Pictures: read from files, and made into what a model of pictures is fed."""
