"""The worker side of dx-py: runs tests through the user's own pytest and reports over a binary protocol.

`boot` starts a worker; `session` is the pytest plugin that collects and runs; `observe` sees what tests depend on and `trace` keeps
it; `outcome` turns pytest's reports into results; `wire` is the protocol. Nothing here is imported by the user's tests.
"""
