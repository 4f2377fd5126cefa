"""Garbage collection: plans what no run needs, removes it, and merges small packs."""
