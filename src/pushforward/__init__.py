"""Retrain on every push, judge against the model in use, promote with a git tag."""

__version__ = "0.2.0"
