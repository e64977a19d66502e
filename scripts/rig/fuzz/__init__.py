"""Bad input in great numbers: each target gives bytes of an engine to real code of `ivr`, and says what may come of it.

`source.py` makes values of an engine's bytes, `case.py` says what a target is and what counts as a finding, `engines.py`
runs cases, `measure.py` counts and looks for growth. `ari.py` has its Asterisk in `exchange.py`, what is spoiled between them
in `wire.py`, its worker in `worker.py` and what happens in `acts.py`; each other file is a target.
"""
