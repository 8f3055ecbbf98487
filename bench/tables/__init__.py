"""Stored numbers to tables: pure functions."""
