"""Explaining: one row, step by step, by a version's own code: what was known then, features, prediction, label.

`rows` finds a row in what a commit's holdout was made of, and says whether its label may be told: that of a holdout in
use may not. `told` reads what a project's `explain` command has written, as hostile data, and holds its sum against the
prediction. `sides` says which two commits are asked and asks them, in a jail; `explain` puts it together as a record,
and `words` prints it in 80 columns.
`views` and `commands` may import it.
"""
