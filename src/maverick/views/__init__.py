"""What can be seen of a run: its page, its steps, why they ran, and what differs from another."""
