"""Bad input in great numbers: each target gives bytes of an engine to real code of `ivr`, and says what may come of it.

`source.py` makes values of an engine's bytes, `case.py` says what a target is and what counts as a finding, `engines.py`
runs cases, `measure.py` counts and looks for growth; each other file is a target.
"""
