"""From a workflow file to a run: the loader reads, the executor walks."""
