"""Loose requirements are locked at adoption by uv, from an index of the test's own; what cannot be is said."""

import pytest
from tests.project import shapes
from tests.wheels import wheel

from pushforward.project import locking, locks
from pushforward.project.survey import survey

DVC = "stages: {a: {cmd: python a.py, outs: [model.pkl]}}\n"


@pytest.fixture
def locked(tmp_path, git):
    """Lock what a repository with these files names; its environment, the locks made, and what was said."""

    def lock(**content):
        root, wheels = tmp_path / "shop", tmp_path / "wheels"
        digests = [wheel(wheels, name, "1.0", "N = 1\n", needs) for name, needs in (("boats", ["oars"]), ("oars", []))]
        root.mkdir()
        git(root, "init", "-q")
        found = {name.replace("_", "."): text.replace("WHEELS", str(wheels)) for name, text in content.items()}
        shapes.put(root, {"dvc.yaml": DVC, ".dvc/config": "", **found})
        named, made, notes = locking.locked(survey(root))
        return [lock.path for lock in named.models[0].locks], made, notes, digests

    return lock


FROM = "--no-index\n--find-links WHEELS\n"


def test_requirements_are_locked_with_all_that_they_need_and_with_hashes(locked, tmp_path):
    paths, [made], notes, digests = locked(requirements_txt=f"{FROM}boats  # sails\n")
    assert (paths, notes) == ([".pushforward/lock.txt"], [])
    assert made.words == "requirements.txt, locked: 2 packages with hashes"
    text = made.content.decode()
    assert text.startswith("# Locked by pushforward adopt, of requirements.txt. To lock it again: uv pip compile ")
    rest = text.partition("\n")[2]
    assert rest == f"{FROM.replace('WHEELS', str(tmp_path / 'wheels'))}" + "".join(
        f"{name}==1.0 \\\n    --hash=sha256:{digest}\n" for name, digest in zip(("boats", "oars"), digests, strict=True)
    )
    assert locks.of(made.path, text).locked


def test_what_is_locked_already_is_left_alone(locked):
    assert locked(uv_lock="version = 1\n", requirements_txt="numpy\n")[:3] == (["uv.lock"], [], [])


def test_what_cannot_be_locked_is_installed_as_it_is_and_said(locked):
    paths, made, [note], _ = locked(requirements_txt=f"{FROM}ropes\n")
    assert (paths, made) == (["requirements.txt"], [])
    assert note.startswith("requirements.txt cannot be locked here, and is installed as it is: ")
    assert "ropes was not found" in note
    assert "uv pip compile --universal --python-version 3.11 --generate-hashes requirements.txt" in note


def test_code_of_its_own_is_no_part_of_a_lock(locked):
    paths, made, [note], _ = locked(
        requirements_txt=f"{FROM}-e .\n", pyproject_toml="[project]\nname = 'shop'\nversion = '1'\n"
    )
    assert (paths, made) == (["requirements.txt"], [])
    assert "'-e .' has no version: take out what is of no index" in note


PIP_PART = (
    "name: shop\ndependencies:\n- python=3.11\n- pip\n- pip:\n  - --no-index\n  - --find-links WHEELS\n  - oars\n"
)


def test_the_pip_part_of_an_environment_of_conda_s_is_locked(locked):
    paths, [made], notes, _ = locked(environment_yml=PIP_PART)
    assert (paths, notes) == ([".pushforward/lock.txt"], [])
    assert made.words == "environment.yml, locked: 1 package with hashes"


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        (
            "environment_yml",
            PIP_PART + "- numpy=2\n- gdal\n",
            "environment.yml has conda install numpy=2, gdal, and conda",
        ),
        ("environment_yml", "name: shop\n", "environment.yml is conda's"),
        ("environment_yml", "dependencies: [a", "environment.yml:1: "),
        (
            "Pipfile_lock",
            "{}",
            "Pipfile.lock is pipenv's, and pip installs nothing from it: pipenv requirements --hash",
        ),
        ("renv_lock", "{}", "renv.lock is R's, and pip installs nothing from it: take it out of environment"),
    ],
)
def test_what_nobody_here_installs_is_named_with_what_to_do(locked, name, text, said):
    paths, made, [note], _ = locked(**{name: text})
    assert (paths, made) == ([], [])
    assert note.startswith(said)
