"""Stored results -> pictures. Data functions are pure; drawing takes what they return."""
