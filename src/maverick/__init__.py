"""maverick runs workflows written in YAML and keeps every run as a git-like history."""

__version__ = "0.1.0"
