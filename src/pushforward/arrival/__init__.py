"""Arrival: batches that a source has and the repository does not, proposed as a change of one line.

`arrive` puts it together, in two halves: one looks, and runs the project's code; the other one acts, and runs none of
it. `source` asks the project's command, `periods` says what should be here by now, `taken` what is here and how one
more is written down, `difference` what is between the two; `trial` tries a batch before anybody commits it, `merging`
merges it where its verdict is promote, and `told` keeps since when something is wrong. It judges nothing.
`commands` may import it, and `server` for what it tells.
"""
