"""The rig: a private Asterisk, a private Redis and SIP softphones on 127.0.0.1.

`scripts/demo`, `scripts/test` and `scripts/bench` put `scripts/` on `sys.path` and import `rig`.
Every instance has a folder under `.tillit/run` and ports of its own, so that checkouts and test
processes run side by side; every process that the rig starts ends with the process that started it.
"""
