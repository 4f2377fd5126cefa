"""Starts, resumes, previews and lists the runs of a project."""
