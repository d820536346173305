"""The small project is every test's of this room."""

from tests.pipeline.small import project

__all__ = ["project"]
