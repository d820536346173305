"""What the tests of the pages share: one world for each file of tests."""

import pytest
from tests.views import world as worlds


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A repository with a bit of everything."""
    return worlds.make(tmp_path_factory.mktemp("world") / "world.git")
