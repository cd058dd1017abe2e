"""Runs that others can have: where artifacts lie, what the author pushes, what a stranger pulls."""
