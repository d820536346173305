"""Serving: an HTTP server of the version that an environment's tag names.

`port` is where the room's two halves meet: the protocol above it (HTTP, schemas, refusals) and the versions below it
(child processes, swaps, shares, the log). Of the former, `app` routes to `named` (rows by their columns' names) and
`v2` (the Open Inference Protocol), which read bodies by the tables of `inputs`, made of `columns`; `strict` reads JSON
and refuses, `reply` answers, `openapi`, `numbers` and `tracing` tell of it, and `wire` waits for no head of a request
that does not come. Of the latter, `worker` is the program that loads one version in its own environment, `line` one
process of it, `scored` a score command in its stead, `channel` a version that answers whatever becomes of those, and
`events` what each of them is told of the world. `candidate` verifies, loads and asks a version before it answers
anybody; `uses` looks which one that should be, `follow` sees to it, and `live` has those that answer now, by `shares`;
`packed` is one that comes in a bundle, beside which nothing is looked for. `journal` keeps what was answered and
`memory` what was told, in files of `growing`; `canary` looks at what came of it, which `asking` has told, `program` is
what either has done by a process beside, `counts` counts, and `tables` are columns as data frames. `serve`
starts both halves. `commands` may import it.
"""
