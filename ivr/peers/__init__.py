"""Organisations with a Tillit of their own: each proves itself to the other's desk with keys that its domain publishes."""
