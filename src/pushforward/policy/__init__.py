"""The policy: who may move which ref to what.

`hook` is the pre-receive hook, a process of its own: the standard library and what of ours stands on that alone, started
without site-packages, and never code of a repository. Where in doubt it refuses. It reads a `push` through `objects`
(git), asks `origin`, then for each ref `names`, `branches` or `tags`; these ask `signature`, `uses` and `versions`, these
`store` and `lock`. Each of them says no by a `refusal`. Nothing imports it; a change reaches a server by `pushforward
init`.
"""
