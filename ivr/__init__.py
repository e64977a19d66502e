"""Tillit: verifies callers on Asterisk before they reach an agent."""

__version__ = "0.1.0"
