"""The project's own promises about itself."""

import re
import subprocess
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from pushforward import __version__
from pushforward.commands.cli import main

ROOT = Path(__file__).parent.parent
LOCKS = sorted((ROOT / "requirements").glob("*.txt"))
VERBS = main.list_commands(click.Context(main))


@pytest.mark.parametrize("path", LOCKS, ids=lambda path: path.stem)
def test_a_lock_says_what_and_never_from_where(path):
    text = path.read_text()
    assert "://" not in text
    assert not re.search(r"^--(index|find|extra)", text, re.MULTILINE)
    for line in text.replace("\\\n", " ").splitlines():
        assert "--hash=sha256:" in line or line.startswith("#"), line


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_shows_an_example(verb):
    command = main.get_command(click.Context(main), verb)
    assert f"pushforward {verb}" in (command.epilog or "")
    assert "Example" in CliRunner().invoke(main, [verb, "--help"]).output


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_a_module_of_its_name(verb):
    assert (ROOT / "src" / "pushforward" / "commands" / f"{verb}.py").is_file()


def test_what_the_readme_links_to_is_there():
    text = (ROOT / "README.md").read_text()
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", text):
        assert (ROOT / target).exists(), target


def test_the_run_environment_has_no_pandas_and_no_scikit_learn():
    text = (ROOT / "requirements" / "run.txt").read_text()
    for name in ("pandas", "scikit-learn", "pyarrow"):
        assert not re.search(rf"^{name}==", text, re.MULTILINE)


def test_a_hook_starts_without_what_only_a_run_needs():
    slow = ["click", "dvc", "numpy", "polars", "pydantic"]
    code = f"import sys, pushforward.server.post_receive; print([name for name in {slow} if name in sys.modules])"
    python = ROOT / ".venv" / "bin" / "python"
    assert subprocess.run([str(python), "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"


def test_the_version_is_said_once_and_again():
    # in the package too: an environment that a server builds has the package from a checkout, not installed
    assert f'version = "{__version__}"' in (ROOT / "pyproject.toml").read_text()
