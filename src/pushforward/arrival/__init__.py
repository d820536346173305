"""Arrival: batches that a source has and the repository does not, proposed as a change of one line.

`commands` may import it.
"""
