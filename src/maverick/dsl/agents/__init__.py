"""Coding agents: other people's command-line programs, described by data and driven by one piece of
code.
"""
