"""HTTP that leaves this machine: where it may go to, and one exchange under limits."""
