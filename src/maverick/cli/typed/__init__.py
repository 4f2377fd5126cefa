"""What a person types: runs, steps, paths, inputs, and words that are called otherwise here."""
