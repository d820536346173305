"""The command line: exit codes that mean something, help with an example, and no traceback for anybody."""

import os
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from pushforward.commands import common
from pushforward.commands.cli import main
from pushforward.gate.verdict import invalid
from pushforward.git.repository import Repository
from pushforward.judge import recorded
from pushforward.report import notes
from pushforward.report.note import Context

ROOT = Path(__file__).parent.parent.parent
SETTINGS = (ROOT / "tests" / "toy" / "pushforward.yaml").read_text()
COMMAND = [sys.executable, "-m", "pushforward"]


@pytest.fixture
def project(repository, git):
    (repository / "pushforward.yaml").write_text(SETTINGS)
    git(repository, "add", "-A")
    git(repository, "commit", "-q", "-m", "Add settings")
    return repository


def run(folder, *args, **env):
    """Run the real command in a folder."""
    return subprocess.run(
        [*COMMAND, *args], cwd=folder, env=os.environ | env, capture_output=True, text=True, check=False
    )


def invoke(folder, monkeypatch, *args):
    """Run the command in this process, where no start-up is to be tested."""
    monkeypatch.chdir(folder)
    return CliRunner().invoke(main, list(args))


VERBS = main.list_commands(click.Context(main))


@pytest.mark.parametrize("verb", VERBS)
def test_help_says_what_a_verb_does_with_an_example(verb):
    done = CliRunner().invoke(main, [verb, "-h"])
    assert done.exit_code == 0
    assert done.output.startswith("Usage: ")
    assert f"Example: pushforward {verb}" in " ".join(done.output.split()) or "Example: git fetch" in done.output


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_no_help_cuts_a_sentence(columns, tmp_path, monkeypatch):
    """Of no verb, and of no word below one; wherever it is asked."""
    monkeypatch.chdir(tmp_path)
    known = {verb: main.get_command(click.Context(main), verb) for verb in VERBS}
    below = [[verb, word] for verb, one in known.items() if isinstance(one, click.Group) for word in one.commands]
    for words in [[], *([verb] for verb in VERBS), *below]:
        done = CliRunner().invoke(main, [*words, "--help"], terminal_width=columns)
        assert done.exit_code == 0, words
        text = done.output.partition("\n\n")[2]
        assert not re.search(r"\w\.\.\.|…", text), words
        assert max(map(len, text.partition("  Example:")[0].splitlines())) <= columns, words


def listed():
    """What the help lists: the sentence of each verb, its lines joined."""
    told = CliRunner().invoke(main, ["--help"]).output.partition("Start:")[2].partition("  Example:")[0]
    rows = re.findall(r"^  ([a-z-]+) +(\S.*(?:\n {6,}\S.*)*)", told, re.MULTILINE)
    assert len({verb for verb, _ in rows}) == len(rows)
    return {verb: " ".join(text.split()) for verb, text in rows}


def test_help_lists_every_verb_once_with_its_whole_sentence_and_imports_none():
    context = click.Context(main)
    assert listed() == {
        verb: " ".join(main.get_command(context, verb).help.partition("\n\n")[0].split())
        for verb in main.list_commands(context)
    }
    code = "import sys; from pushforward.__main__ import main; main(['-h'], standalone_mode=False); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = done.stdout.splitlines()[-1].split()
    assert "pushforward.commands.cli" in loaded
    assert "pushforward.commands.verify" not in loaded


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (["release", "v1"], ["v1.10.0", "v1.9.0"]),  # the newest first, by number
        (["verify", ""], ["v1.10.0", "v1.9.0", "v0.1.0"]),
        (["bundle", "toy@v1.1"], ["toy@v1.10.0"]),
        (["verify", "--in-use", "p"], ["production"]),
        (["rollback", ""], ["production", "staging"]),
        (["rollback", "production", "--to", "v1"], ["v1.10.0", "v1.9.0"]),
        (["trust", "--for", "s"], ["staging"]),
        (["show", "--model", "t"], ["toy"]),
        (["act", "p"], ["push", "pull_request"]),
        (["report", "my"], ["my-idea"]),
        (["runs", "show", ""], []),  # no server: nothing to offer, and no word of it
    ],
    ids=" ".join,
)
def test_a_shell_completes_versions_environments_branches_and_runs(tmp_path, git, words, wanted):
    git(tmp_path, "init", "-q", "-b", "main")
    git(tmp_path, "commit", "-q", "--allow-empty", "-m", "Begin")
    for name in ("toy@v1.9.0", "toy@v1.10.0", "toy@v0.1.0", "toy#production#2", "toy#staging#1", "nightly"):
        git(tmp_path, "tag", name)
    git(tmp_path, "branch", "my-idea")
    asked = {
        "_PUSHFORWARD_COMPLETE": "bash_complete",
        "COMP_WORDS": " ".join(["pushforward", *words]),
        "COMP_CWORD": str(len(words)),
    }
    code = "from pushforward.commands.cli import main; main(prog_name='pushforward')"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=os.environ | asked, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert [line.removeprefix("plain,") for line in done.stdout.splitlines() if line] == wanted


@pytest.mark.parametrize("terminal", [False, True])
@pytest.mark.parametrize(
    ("environment", "colored"),
    [
        ({}, None),
        ({"NO_COLOR": ""}, None),  # as https://no-color.org has it
        ({"NO_COLOR": "1"}, False),
        ({"FORCE_COLOR": "1"}, True),
        ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, False),
    ],
    ids=str,
)
def test_colour_is_as_the_environment_says_or_else_the_terminal(monkeypatch, environment, colored, terminal):
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: terminal)
    assert common.colored() is (terminal if colored is None else colored)


def test_no_verb_and_a_wrong_verb_are_wrong_usage():
    assert CliRunner().invoke(main, []).exit_code == 2
    wrong = CliRunner().invoke(main, ["promot"])
    assert wrong.exit_code == 2
    assert "No such command 'promot'" in wrong.output


def test_a_setting_that_cannot_be_read_is_named_by_file_and_line(project, git):
    line = SETTINGS.splitlines().index("  window: 2") + 1
    (project / "pushforward.yaml").write_text(SETTINGS.replace("  window: 2", "  windw: 2"))
    git(project, "commit", "-q", "-am", "Mistype")
    done = run(project, "show")
    assert done.returncode == 2
    assert done.stdout == ""
    assert f"pushforward.yaml:{line}: unknown key 'gate.windw'; did you mean 'window'?" in done.stderr
    assert "\n  next: edit pushforward.yaml\n" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_program_that_is_missing_is_named(project, tmp_path):
    done = run(project, "show", PATH=str(tmp_path))
    assert done.returncode == 6
    assert done.stderr == "pushforward: git is not installed\n  next: pushforward check\n"


def test_a_bug_leaves_a_log_and_no_traceback(tmp_path):
    gone = tmp_path / "gone"
    script = f"mkdir {gone} && cd {gone} && rmdir {gone} && exec {sys.executable} -m pushforward show"
    env = os.environ | {"TMPDIR": str(tmp_path), "PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=False, env=env)
    assert done.returncode == 1
    said = done.stderr.splitlines()
    assert said[-2].startswith("pushforward: a bug: FileNotFoundError: ")
    log = Path(said[-1].removeprefix("  its log: "))
    assert log.parent == tmp_path
    assert log.read_text().startswith("Traceback")
    assert "Traceback" not in done.stderr


def test_a_reader_that_has_left_is_no_bug(project, tmp_path):
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [*COMMAND, "show"],
        cwd=project,
        env=os.environ | {"TMPDIR": str(tmp_path)},
        stdout=write,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(write)
    assert "a bug" not in done.stderr
    assert not list(tmp_path.glob("pushforward-*.log"))


def test_what_is_not_there_is_wrong_usage_with_the_next_command(project, monkeypatch):
    for args, text, after in (
        (["report"], "has no report in this repository", "pushforward show"),
        (["report", "no-such-branch"], "no commit is called 'no-such-branch'", "git log --oneline"),
        (["report", "--from", "nowhere"], "nowhere holds no verdict", "pushforward gate"),
        (["promote"], "verdict holds no verdict", "pushforward gate"),
        (["dispatch"], "this clone has no git remote `local`", "pushforward init"),
        (["dispatch", "--bare", "nowhere"], "nowhere is not a server", "pushforward init"),
        (["gate", "--head", "HEAD~9", "--event", "push", "--ref", "main"], "no commit is called", "git log"),
    ):
        done = invoke(project, monkeypatch, *args)
        assert done.exit_code == 2, done.output
        assert re.fullmatch(rf"pushforward: .*{re.escape(text)}.*\n  next: {re.escape(after)}.*\n", done.stderr)


def test_the_report_of_a_commit_that_was_pushed_with_a_later_one_leads_to_that(project, monkeypatch, git):
    first = git(project, "rev-parse", "HEAD")
    git(project, "commit", "-q", "--allow-empty", "-m", "Go on")
    last = git(project, "rev-parse", "HEAD")
    report = recorded.report(invalid("because"), Context())
    notes.put(Repository(project), last, report, lock=project / ".git" / "notes.lock")
    done = invoke(project, monkeypatch, "report", first)
    assert done.exit_code == 2
    assert done.stderr == (
        f"pushforward: {first[:9]} has no report in this repository; the next commit that has one is {last[:9]}\n"
        f"  next: pushforward report {last[:9]}\n"
    )


def test_the_report_of_another_version_is_told_as_such(project, monkeypatch, git):
    head = git(project, "rev-parse", "HEAD")
    git(project, "notes", "--ref=pushforward", "add", "-m", "<!-- pushforward {} -->", head)
    done = invoke(project, monkeypatch, "report")
    assert done.exit_code == 2
    told, step = done.stderr.splitlines()
    assert told == f"pushforward: the report of {head[:9]} was written by another version"
    words = step.removeprefix("  next: ").split()
    assert words[-4:] == ["notes", "--ref=pushforward", "show", head[:9]]
    shown = subprocess.run(words, capture_output=True, text=True, check=True)
    assert shown.stdout == "<!-- pushforward {} -->\n"


def test_a_verdict_that_is_none_is_refused_as_data(project, monkeypatch):
    (project / "verdict").mkdir()
    (project / "verdict" / "verdict.json").write_text("{}")
    (project / "verdict" / "context.json").write_text("{}")
    for args in (["promote"], ["report", "--from", "verdict"]):
        done = invoke(project, monkeypatch, *args)
        assert done.exit_code == 3
        assert done.stderr.startswith("pushforward: this is not a verdict")


def test_the_gate_says_invalid_with_exit_code_0_and_with_check_4(project, monkeypatch):
    args = ["gate", "--head", "HEAD", "--event", "push", "--ref", "main"]
    done = invoke(project, monkeypatch, *args)
    assert done.exit_code == 0, done.output
    assert "ended before its pipeline began" in " ".join(done.stdout.split())
    assert invoke(project, monkeypatch, *args, "--check").exit_code == 4
    assert invoke(project, monkeypatch, "promote").exit_code == 0, "nothing to promote is no failure of the step"


def test_a_run_on_a_folder_that_differs_from_its_commit_is_refused(project, monkeypatch):
    (project / "pushforward.yaml").write_text(SETTINGS + "# more\n")
    done = invoke(project, monkeypatch, "repro", "--clean")
    assert done.exit_code == 2
    assert "differs from its commit: pushforward.yaml\n  next: git stash" in done.stderr


def test_a_store_elsewhere_is_not_called_a_dot(project, monkeypatch):
    (project / ".dvc").mkdir()
    (project / ".dvc" / "config").write_text("[core]\n    remote = s\n['remote \"s\"']\n    url = s3://bucket/path\n")
    done = invoke(project, monkeypatch, "init")
    store = next(line for line in done.stdout.splitlines() if line.startswith("store"))
    assert store.split(maxsplit=1)[1] == "as .dvc/config says"
