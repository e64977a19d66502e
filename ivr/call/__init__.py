"""The heart: what a call must show, and what it wins by it. No I/O of its own."""
