"""Trees and checkpoints: values, folders, snapshots, and what differs between two."""
