"""The steps of a workflow, or of a run, as a graph: made, and drawn."""
