"""Jobs of GitHub Actions: what one that runs a workflow is told of the run."""
