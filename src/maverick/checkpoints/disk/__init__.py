"""The store's folder: its files and their names, kernel locks, JSON that seals itself."""
