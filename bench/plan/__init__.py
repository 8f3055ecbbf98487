"""What is asked for: cells, their fits, and the parameters of both."""
