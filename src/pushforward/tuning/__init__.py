"""Tuning: parameters searched on the past alone, never on the holdout, and proposed as a change.

`tune` is a search as a whole: `study` asks Optuna which set of parameters (`space`) is tried next, and keeps what came
of it in a `journal` that survives what kills it; `folds` run the pipeline in moments of the past; `check` holds what is
best against today's where nothing was chosen; `told` has the words, `pictures` draw it, and `proposed` asks for it as a
change. `commands` may import it.
"""
