"""The project's own promises about itself."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from pushforward import __version__
from pushforward.commands.cli import main

ROOT = Path(__file__).parent.parent
LOCKS = [*sorted((ROOT / "requirements").glob("*.txt")), ROOT / "src/pushforward/sample/new/requirements.txt.in"]
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


# verb -> what its file calls: found by its name, and it does what it says
CALLS = {
    "accept": "release.review.accept",
    "act": "server.clone.command",
    "adopt": "project.adopt.plan",
    "arrive": "arrival.arrive.act",
    "bundle": "release.bundle.bundle",
    "check": "server.check.everything",
    "deprecate": "release.release.deprecate",
    "dispatch": "server.dispatch.work",
    "env": "pipeline.environment.make",
    "explain": "explaining.explain.explain",
    "forge": "forge.sweep.Sweep",
    "gate": "judge.judge.weigh",
    "gc": "server.gc.collect",
    "init": "server.init.init",
    "monitor": "monitoring.monitor.monitor",
    "new": "project.new.make",
    "notify": "server.telling.at_once",
    "promote": "release.promote.promote",
    "pull": "release.pull.pull",
    "record": "judge.recorded.record",
    "rehearse": "judge.rehearse.rehearse",
    "reject": "release.review.reject",
    "release": "release.release.release",
    "report": "report.notes.read",
    "repro": "pipeline.dvc.reproduce",
    "rollback": "release.release.rollback",
    "runs": "server.runs.listed",
    "score": "judge.challenge.answer",
    "score-card": "project.scorecard.card",
    "serve": "serving.serve.serve",
    "setup": "forge.setup.plan",
    "show": "views.show.state",
    "trust": "registry.signers.add",
    "tune": "tuning.tune.tune",
    "verify": "release.verify.verify",
    "web": "views.web.serve",
}


def called(path: Path) -> set[str]:
    """Every function of a room that a file calls, by its full name below `pushforward`."""
    tree = ast.parse(path.read_text())
    known = {
        alias.asname or alias.name: f"{node.module}.{alias.name}"
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("pushforward")
        for alias in node.names
    }
    calls = [node.func for node in ast.walk(tree) if isinstance(node, ast.Call)]
    direct = {known[one.id] for one in calls if isinstance(one, ast.Name) and one.id in known}
    through = [one for one in calls if isinstance(one, ast.Attribute) and isinstance(one.value, ast.Name)]
    named = {f"{known[one.value.id]}.{one.attr}" for one in through if one.value.id in known}
    return {name.removeprefix("pushforward.") for name in direct | named}


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_a_file_of_its_name_that_calls_what_it_says(verb):
    assert CALLS[verb] in called(ROOT / "src" / "pushforward" / "commands" / f"{verb.replace('-', '_')}.py")


def test_no_verb_is_told_of_that_is_none():
    assert sorted(CALLS) == VERBS


def test_the_run_environment_has_no_pandas_and_no_scikit_learn():
    text = (ROOT / "requirements" / "run.txt").read_text()
    for name in ("pandas", "scikit-learn", "pyarrow"):
        assert not re.search(rf"^{name}==", text, re.MULTILINE)


def test_a_hook_starts_without_what_only_a_run_needs():
    slow = ["click", "dvc", "numpy", "polars", "pydantic", "ruamel.yaml", "yaml", "pushforward.registry.tags"]
    code = f"import sys, pushforward.server.post_receive; print([name for name in {slow} if name in sys.modules])"
    python = ROOT / ".venv" / "bin" / "python"
    assert subprocess.run([str(python), "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"


def test_scoring_starts_without_what_only_the_judge_needs():
    code = "import sys, pushforward.judge.challenge; print([one for one in ('numpy', 'polars') if one in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


@pytest.mark.parametrize(
    ("modules", "slow"),
    [
        (
            ["server.dispatch"],
            ["click", "dvc", "numpy", "polars", "pydantic", "ruamel.yaml", "pushforward.registry.tags"],
        ),
        (["server.execute"], ["click", "dvc", "numpy", "polars", "jinja2"]),
        (["release.promote", "release.reviewed", "judge.passed", "judge.judged"], ["dvc", "numpy", "polars", "scipy"]),
        (["commands.promote", "judge.passed", "judge.judged"], ["polars", "pushforward.release.promote"]),
        (["report.words", "report.markdown", "report.terminal"], ["dvc", "numpy", "polars"]),
        (["judge.judge"], ["dvc", "scipy", "vl_convert"]),
    ],
    ids=lambda one: one[0],
)
def test_each_process_of_a_push_starts_without_what_another_needs(modules, slow):
    wanted = ", ".join(f"pushforward.{one}" for one in modules)
    code = f"import sys, {wanted}; print([name for name in {slow} if name in sys.modules])"
    python = ROOT / ".venv" / "bin" / "python"
    assert subprocess.run([str(python), "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_the_version_is_said_once_and_again():
    # in the package too: an environment that a server builds has the package from a checkout, not installed
    assert f'version = "{__version__}"' in (ROOT / "pyproject.toml").read_text()
