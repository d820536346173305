"""The release: a verdict becomes a version, a version is put to use.

`promote` makes the lock commit and the version's tags; `release` puts to use, takes back and deprecates; `provenance`
and `card` are what a version says of itself; `verify`, `rebuild` and `bundle` check it from its signature to its
bytes. `server`, `views` and `commands` may import it.
"""
