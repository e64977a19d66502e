"""Asterisk's REST interface: transport, events, and the caller's line that the heart asks for."""
