"""The composed implementation of each kind of each interface, over the operations contract."""
