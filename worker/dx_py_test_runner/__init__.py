"""The worker side of dx-py: runs tests through the user's own pytest and reports over a binary protocol.

`boot` starts a worker; `collect` and `run` are its two phases, as a pytest plugin; `trace` observes what tests depend on;
`outcome` turns pytest's reports into results; `wire` is the protocol. Nothing here is imported by the user's tests.
"""
