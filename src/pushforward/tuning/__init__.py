"""Tuning: parameters searched on validation alone, never on the holdout, and proposed as a change.

`commands` may import it.
"""
