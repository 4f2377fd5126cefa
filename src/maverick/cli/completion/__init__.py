"""Completion in the shell: what may follow on a command line, without loading the commands."""
