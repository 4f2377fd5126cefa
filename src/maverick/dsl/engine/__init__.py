"""The parts of the walk: blocks, composites, leaves, retries, rollbacks, plans."""
