"""The paper's printed numbers and claims, and where they contradict each other."""
