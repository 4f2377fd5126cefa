"""What differs between two runs: values, code, files, times and costs."""
