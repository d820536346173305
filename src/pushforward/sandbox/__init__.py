"""The sandbox: what a run may see, write and reach.

`jail` finds the isolation that works here and builds its command; `namespaces` and `idmap` are scripts of the
standard library that run inside, before the run does; `watch` measures a run from outside, by its `processes`. Only
`actions` and `server` may import it: who runs foreign code is said in two places.
"""
