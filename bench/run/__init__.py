"""How it is computed: one fit after the other, or many at a time."""
