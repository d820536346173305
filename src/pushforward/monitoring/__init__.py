"""Monitoring: what is served held against what was trained on, and against what came of it.

`outcomes` says which outcomes are known and from which age on they count, `interval` how sure a number is that is
looked at every day, `live` what a version has lost beside what its verdict promised.
`serving`, `views` and `commands` may import it.
"""
