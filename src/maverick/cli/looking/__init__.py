"""What is asked for most, quick to load: the lists of runs, and the page of one."""
