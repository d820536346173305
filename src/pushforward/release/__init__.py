"""The release: a verdict becomes a version, a version is put to use.

`promote` makes the lock commit and the version's tags; `review` signs a person's word on what it does not promote,
`word` finds that for a verdict, and `reviewed` by its tag; `release` puts to use, takes back and deprecates, by
`signing`; `pull` puts what a run has made into a work tree; `provenance` and `card` are what a version says of itself,
`entry` is where that is kept. `chain` walks from the signature to what is said, `stored` to the bytes, one `hop` after
another: `verify`, `rebuild` and `bundle` check a version by them, and `deployment` is what a bundle has to be served
elsewhere with.
`server`, `views` and `commands` may import it.
"""
