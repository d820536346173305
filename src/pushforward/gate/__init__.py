"""The gate: statistics and the verdict, pure.

`decision` judges `evidence`, by `guards` that look at a `case` of it; `loss` is what can be gated, `stats` has the
other formulas and their sources, `sequential` those of a question that is asked again; `verdict` is what a verdict
says, read strictly; `inspection` looks at the holdout and `leaks` at its columns before either is believed; `leakage`
is the probe of time honesty; `drift` compares months, by `profile`s of columns. What a column is by day is `counted`,
and `moves` knows how far its days may go. `special` has the functions that are SciPy's.
Numbers in, a verdict out: no git, no process; `leakage` alone writes, into the folder that it is given. A change here
changes every judgement, and counts from the next push on. The rooms from `judge` and `report` up may import it.
"""
