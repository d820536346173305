"""Serving: an HTTP server of the version that an environment's tag names.

`port` is where the room's two halves meet: the protocol above it (HTTP, schemas, refusals) and the versions below it
(child processes, swaps, shares, the log). Of the latter, `worker` is the program that loads one version in its own
environment, `line` one process of it, `channel` a version that answers whatever becomes of those, and `events` what
each of them is told of the world. `commands` may import it.
"""
