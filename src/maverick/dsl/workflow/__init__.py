"""A workflow as data: its model, its inputs, and what became of its steps."""
