"""The embedded suite as data: embedded.py draws it."""

from __future__ import annotations

VERSION = 1  # To be bumped whenever any pixel of the suite changes.

# category -> its defect types
CATEGORIES: dict[str, tuple[str, ...]] = {
    "fabric": ("broken_thread", "hole", "stain"),
    "wood": ("knot", "liquid", "scratch"),
    "part": ("contamination", "dent", "missing_piece"),
}
