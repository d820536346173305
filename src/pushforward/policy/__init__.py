"""The policy: who may move which ref to what.

`hook` is the pre-receive hook, a process of its own: the standard library and what of ours stands on that alone, no
site-packages, and never code of a repository. Where in doubt it refuses. It reads a `push` through `objects` (git) and
asks the `rules`: `origin`, then for each ref `names`, `branches` or `tags`. `branches` asks `override`; `tags` asks
`record`, `signature`, `uses` and `versions`, which asks `store` and that `lock`; `branches`, `tags` and `versions` ask
`reviews`. Each of them says no by a `refusal`.
Nothing imports it; a change reaches a server by `pushforward init`.
"""
