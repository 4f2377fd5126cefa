"""The project's files in a checkpoint: taken, compared and restored."""
