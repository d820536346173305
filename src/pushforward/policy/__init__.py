"""The policy: who may move which ref to what.

`hook` is the pre-receive hook, a process of its own: the standard library only, started without site-packages, and
never code of a repository. Where in doubt it refuses. Nothing imports it; a change reaches a server by `pushforward
init`.
"""
