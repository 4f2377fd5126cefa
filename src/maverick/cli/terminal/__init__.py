"""What people see and how they interrupt: streams, tables, progress, signals."""
