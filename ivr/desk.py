"""Wiring and lifetimes of the desk: builds it from the settings, runs it, and ends it."""

from __future__ import annotations


def run() -> None: ...
