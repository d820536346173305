"""The judge: the shell around the gate.

`question` says what is asked and who judges it; `judge` weighs a hand-over against the version in use: a `case`, with
its `probe`, `validation` month, `losses`, `pictures` and `look`; `measured` tells what a run wrote by itself, below
the level at which rows are scored; `change` tells what of the judge a change touches and claims; `passed` keeps what
passes; `handover` reads what the pushed code's run left, as hostile data; `holdout`, `challenge` and `score` make the
rows and the predictions, from a `table` each; `identity` says what makes a version that version; `ledger` counts looks
at a holdout, `seal` keeps its numbers; `context` gathers what the report tells beside the verdict; `plan` says what
the holdout can still tell; `judged` is a verdict between two steps. It runs as the code of the commit before the push.
"""
