"""The judge: the shell around the gate.

`question` says what is asked and who judges it, `several` asks it of each of several models; `judge` weighs a hand-over
against the version in use: a `case`, with its `rival`, `probe`, `validation` month and the rows that `moved` there,
`floor`, `losses`, `pictures` (by a `drawer`, whose process is `drawing`) and `look`; `early` begins what it will surely
need; `made` is the holdout that it is judged on, with the rows whose `growth` a change
brings, and `epochs` tell which of its keys are asked where there are no batches; `change` tells what of the judge a
change touches and claims; `passed` keeps what passes, `records` says as what, `recorded` keeps what people read of
anything, and `shown` what a comment shows of it; `handover` reads what the pushed code's run left, as hostile data;
`holdout`, `challenge` and `score` make the rows and the predictions, from a `table` each, `scorings` all that a probe
asks for, and `recall` keeps those of the judge's own; `identity` says what makes a version that version; `ledger`
counts the `looks` at a holdout, by the `names` of its batches, `levels` says how strict each is, `askings` what one
spends that is `waiting` for more days, `seal` keeps its numbers; `context` gathers what the report tells beside the
verdict; `measured` tells the numbers of what has no holdout, by the `noise` of what it had before, which the run wrote
down (`seeds`), and `self_scored` holds a table that the pipeline scored by itself against the champion's; `plan` says
what the holdout can still tell, and `ahead` before a run that it will be asked in vain; `rehearse` tells before a push
what would keep it from its verdict, by what the store lacks (`stock`) and what the checks say of the rows (`audition`);
`judged` is a verdict between two steps. It runs as the code of the commit before the push.
"""
