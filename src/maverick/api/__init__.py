"""Python's front door: start and resume runs, and look at them."""
