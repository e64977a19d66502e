"""Measures what a call costs: the plain dialplan, a published ARI client, and Tillit, side by side."""
