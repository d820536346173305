"""Monitoring: what is served held against what was trained on, and against what came of it.

`reference` keeps the rows that were trained on as counts by day, and `drift` says which columns of a window of days are
further from it than its own days are from each other; `past` keeps both on this machine, and `predicted` asks the same
of predictions.
`tables` reads what was answered and what came of it as hostile data, `outcomes` says which outcomes are known and from
which age on they count, `lost` what each lost by a command of the project's, `interval` how sure a number is that is
looked at every day, `live` what a version has lost beside what its verdict promised, `decision` what is to be done.
`asking` has the project tell what came of it. `look` gathers all that into a `record`, `handed` leaves these for
another job, `kept` has them in git and `words` tells them; `retrain` says what a retrain is, and `monitor` does it from
end to end: one half looks, and runs the project's code; the other one acts, and runs none of it.
`serving`, `views` and `commands` may import it.
"""
