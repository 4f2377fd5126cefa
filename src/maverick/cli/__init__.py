"""The command line: the only code that reads arguments, environment and terminal."""
