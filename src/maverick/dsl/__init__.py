"""The workflow language and the engine that runs it."""
