"""Monitoring: what is served held against what was trained on, and against what came of it.

`serving`, `views` and `commands` may import it.
"""
