"""Serving: an HTTP server of the version that an environment's tag names.

`port` is where the room's two halves meet: the protocol above it (HTTP, schemas, refusals) and the versions below it
(child processes, swaps, shares, the log). `commands` may import it.

The protocol: `app` routes to `named` (rows by their columns' names) and `v2` (the Open Inference Protocol), which read
bodies by the tables of `inputs`, made of `columns`; `strict` reads JSON and refuses, `reply` answers, `openapi`,
`numbers` and `tracing` tell of it.
"""
