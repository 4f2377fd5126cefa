"""What stands in `${{ }}`: parsed, checked, and evaluated within limits."""
