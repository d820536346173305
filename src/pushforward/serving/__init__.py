"""Serving: an HTTP server of the version that an environment's tag names.

`port` is where the room's two halves meet: the protocol above it (HTTP, schemas, refusals) and the versions below it
(child processes, swaps, shares, the log). Of the latter, `worker` is the program that loads one version in its own
environment, `line` one process of it, `scored` a score command in its stead, `channel` a version that answers whatever
becomes of those, and `events` what each of them is told of the world; `candidate` verifies, loads and asks a version
before it answers anybody. `tables` are columns as data frames. `commands` may import it.
"""
