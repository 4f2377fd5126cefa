"""The lists of runs, quick to load since they are asked for most."""
