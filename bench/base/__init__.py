"""What everything may import, and which imports nothing of ours."""
