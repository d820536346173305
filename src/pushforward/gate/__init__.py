"""The gate: statistics and the verdict, pure.

`decision` judges `evidence` by rules; `loss` is what can be gated, `stats` has the other formulas and their sources;
`verdict` is what a verdict says, read strictly; `inspection` looks at the holdout and `leaks` at its columns before
either is believed; `leakage` is the probe of time honesty; `drift` compares months. No git, no file, no process:
numbers in, a verdict out. A change here changes every judgement, and counts from the next push on.
"""
