"""Colour of each account, what holds it there, and what brings it back."""
