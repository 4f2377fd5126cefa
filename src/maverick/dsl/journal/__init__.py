"""What a run has done, kept in the store: records, logs, files, agents' sessions."""
