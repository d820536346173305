"""Monitoring: what is served held against what was trained on, and against what came of it.

`reference` keeps the rows that were trained on as counts by day, and `drift` says which columns of a window of days are
further from it than its own days are from each other.
`serving`, `views` and `commands` may import it.
"""
