"""fsck."""
