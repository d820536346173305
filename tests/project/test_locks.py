"""Which files say what an environment holds, and whether they lock it."""

import pytest

from pushforward.project import locks

HASHED = "numpy==2.0 \\\n    --hash=sha256:00 \\\n    --hash=sha256:11\n# why\nscipy==1.0 --hash=sha256:22\n"


@pytest.mark.parametrize(
    ("text", "locked", "line", "why"),
    [
        ("", True, 0, ""),
        (HASHED, True, 0, ""),
        ("--index-url https://example.org\n" + HASHED, True, 0, ""),
        ("numpy==2.0\n", False, 1, "'numpy==2.0' has no hash"),
        (HASHED + "\npandas>=2  # tables\n", False, 7, "'pandas>=2' has no version"),
        ("# a\nnumpy ; python_version > '3'\n", False, 2, "'numpy' has no version"),
        ("-e .\n", False, 1, "'-e .' has no version"),
    ],
)
def test_a_file_of_requirements_locks_where_each_has_a_hash(text, locked, line, why, tmp_path):
    (tmp_path / "requirements.txt").write_text(text)
    [found], odd = locks.read(tmp_path, ["requirements.txt"])
    assert (found.kind, found.locked, found.line, found.why) == ("pip", locked, line, why)
    assert odd == []


@pytest.mark.parametrize(
    ("name", "kind", "locked"),
    [
        ("uv.lock", "uv", True),
        ("poetry.lock", "poetry", True),
        ("pylock.toml", "pylock", True),
        ("environment.yml", "conda", False),
        ("renv.lock", "renv", True),
    ],
)
def test_locks_of_other_tools_are_known_by_their_names(name, kind, locked, tmp_path):
    [found], _ = locks.read(tmp_path, [f"a/{name}", "README.md", "a/requirements.md"])
    assert (found.path, found.kind, found.locked) == (f"a/{name}", kind, locked)


@pytest.mark.parametrize(
    ("paths", "folder", "chosen"),
    [
        (["requirements.txt", "requirements-dev.txt", "docs/requirements.txt"], ".", ["requirements.txt"]),
        (["requirements/run.txt", "requirements/data.txt", "requirements/test.txt"], ".",
         ["requirements/data.txt", "requirements/run.txt"]),
        (["requirements.txt", "ml/requirements.txt"], "ml", ["ml/requirements.txt"]),
        (["requirements.txt", "other/requirements.txt"], "ml/a", ["requirements.txt"]),
        (["src/requirements.txt"], ".", ["src/requirements.txt"]),
        (["requirements.txt", "uv.lock"], ".", ["uv.lock"]),
        (["environment.yml", "requirements.txt"], ".", ["requirements.txt"]),
        (["requirements-test.txt"], ".", []),
        (["a/src/requirements.txt", "b/src/requirements.txt"], "b", ["b/src/requirements.txt"]),
        (["a/src/requirements.txt", "b/src/requirements.txt"], "c", []),
        (["a/b/requirements.txt", "c/requirements.txt"], ".", ["c/requirements.txt"]),
    ],
)  # fmt: skip
def test_the_nearest_environment_that_is_not_for_tests_is_taken(paths, folder, chosen, tmp_path):
    for path in paths:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text("")
    known, _ = locks.read(tmp_path, paths)
    assert [lock.path for lock in locks.chosen(known, folder)] == chosen
