"""Whether all is in place that runs need: programs, agents, configuration, disk, store."""
