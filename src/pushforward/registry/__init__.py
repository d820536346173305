"""The registry: versions and environments as signed tags.

`grammar` has the names of tags; `tags` folds tags, and is pure; `reviews` reads what people have said of verdicts;
`transaction` makes and pushes signed tags as one. `ssh` reads allowed signers and says who signed; `trust` finds the
signers that count here, and asks it; `signers` changes them; `authority` is the repository whose tags count. `grammar`
and `ssh` are the policy's too, and need the standard library alone. `judge`, `release`, `server`, `views` and
`commands` read it; tags are made by `release` alone.
"""
