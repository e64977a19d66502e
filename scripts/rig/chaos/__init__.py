"""Breaks one part after another under a load of calls, and counts what has become of every caller."""
