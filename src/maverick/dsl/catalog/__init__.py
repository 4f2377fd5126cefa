"""What a project offers to its workflows, and whether a workflow uses it right."""
