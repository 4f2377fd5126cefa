"""Coding agents: other people's programs, described by data and driven by one piece of code."""
