"""The tutorial: its worked numbers and programs, its misprints, and the command that shows them."""
