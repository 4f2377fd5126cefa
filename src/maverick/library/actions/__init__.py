"""The actions that ship: plain functions that work on the folder *cwd* (default: the current one).

Each can be used alone. What goes wrong is a `StepFailed` that says what, which, and what to do; all of them
are safe to repeat.
"""
