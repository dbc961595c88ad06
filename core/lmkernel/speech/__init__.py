"""Speech: sounds from files, their features, and the text that a model hears in them."""
