"""The registry: versions and environments as signed tags.

`tags` has the grammar and the fold of tags, and is pure; `transaction` makes and pushes signed tags, all or none;
`trust` verifies signatures against the allowed signers; `signers` changes these; `authority` is the repository whose
tags count. `judge`, `release`, `server`, `views` and `commands` read it; tags are made by `release` alone.
"""
