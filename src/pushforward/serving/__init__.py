"""Serving: an HTTP server of the version that an environment's tag names.

`port` is where the room's two halves meet: the protocol above it (HTTP, schemas, refusals) and the versions below it
(child processes, swaps, shares, the log). `commands` may import it.
"""
