"""The check of a store, and the repair of a damaged one."""
