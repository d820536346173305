"""The README's own session, typed on real flights: the first model, then a month by one line.

`UPDATE_README=1` records it. Then what DVC says in clones, which docs/dvc.md shows: `UPDATE_GOLDEN=1` records that.
"""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow


ROOT = Path(__file__).parent.parent
PUSHFORWARD = ROOT / ".venv" / "bin" / "pushforward"
README = ROOT / "README.md"
BEGIN, END = "<!-- recorded by tests/test_flights_push.py -->\n```console\n", "```\n<!-- /recorded -->"
STALE = "dvc.lock and metrics/ are not what `dvc repro` makes of this commit. Type `make lock-data`, and commit them"
DVC_PAGE = ROOT / "docs" / "dvc.md"
WIDEST, MOST_LINES = 100, 12
CHANGING = ("calibration.csv", "importance.csv", "learning.csv", "metrics.json", "slices.csv")
# Of a push's card the README shows its first paragraph and these lines.
SHOWN = ("log loss", "data", "next")
LONGEST = 15


def session(text):
    """The README before its session, the session, and what comes after it."""
    head, begun, rest = text.partition(BEGIN)
    block, ended, tail = rest.partition(END)
    assert all((begun, ended)), "the README has lost its recorded session"
    return head, block, tail


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """The folder in which the README's session was typed, what runs a command there, and what each line of it said."""
    folder = tmp_path_factory.mktemp("flights")
    clone = folder / "flights"
    names = subprocess.run(["git", "-C", str(ROOT), "ls-files", "-z"], capture_output=True, text=True, check=True)
    for name in filter(None, names.stdout.split("\0")):
        if not name.startswith(("tests/", "benchmarks/")) and (ROOT / name).is_file():
            (clone / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, clone / name)
    environment = {
        "PATH": f"{PUSHFORWARD.parent}:{os.environ['PATH']}",
        "HOME": str(folder),
        "PYTHONPATH": str(clone / "src"),
        **{f"GIT_{who}_{what}": "Ann" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
    }

    def run(*argv):
        done = subprocess.run(argv, cwd=clone, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    run("git", "init", "-q", "-b", "main")
    run("git", "add", "-A")
    run("git", "commit", "-q", "-m", "Begin")
    typed = re.findall(r"^\$ (.+)$", session(README.read_text())[1], re.MULTILINE)
    said = {command: run("bash", "-c", command) for command in typed}
    run("git", "fetch", "-q", "--tags", "local")
    return folder, run, said


def verdict(run, commit="HEAD"):
    return json.loads(run(str(PUSHFORWARD), "report", commit, "--json"))


@pytest.mark.ml_test_score("Infra 3")
def test_the_first_push_trains_on_everything(told):
    _, run, _ = told
    judged = verdict(run, "HEAD~1")
    assert (judged["verdict"], judged["mode"]) == ("promote", "first")
    assert {stage["outcome"] for stage in judged["stages"]} == {"ran"}


def test_a_month_runs_the_row_wise_stages_of_that_month_only(told):
    _, run, _ = told
    ran = {stage["name"] for stage in verdict(run)["stages"] if stage["outcome"] != "unchanged"}
    assert {name for name in ran if "@" in name} == {
        f"{stage}@2013-05" for stage in ("collect", "validate", "features")
    }
    assert {name for name in ran if "@" not in name} <= {"lookback", "holdout", "train", "evaluate"}


@pytest.mark.ml_test_score("Infra 4")
def test_a_month_is_judged_by_not_being_worse(told):
    _, run, said = told
    judged = verdict(run)
    assert (judged["verdict"], judged["mode"]) == ("promote", "refresh")
    assert judged["holdout"]["months"] == ["2013-04", "2013-05"]
    assert judged["holdout"]["rows"] == 28_330 + 28_796
    assert judged["champion"]["version"] == "flight-delay@v1.0.0"
    assert "flight-delay@v1.0.1" in [*said.values()][-1]


def test_a_new_clone_gets_the_judged_model_from_its_tag(told):
    folder, run, _ = told
    other = folder / "other"
    run("git", "clone", "-q", str(folder / "flights.git"), str(other))
    run("git", "-C", str(other), "checkout", "-q", "flight-delay@v1.0.1")
    dvc = PUSHFORWARD.parent / "dvc"
    subprocess.run([str(dvc), "pull", "-q", "model"], cwd=other, check=True, capture_output=True)
    message = run("git", "cat-file", "tag", "flight-delay@v1.0.1")
    record = json.loads(next(line for line in message.splitlines() if line.startswith("{")))
    digest = run("sha256sum", str(other / "model" / "model.ubj")).split()[0]
    assert digest == record["model"] == verdict(run)["digests"]["model"]


@pytest.mark.ml_test_score("Model 1")
def test_the_committed_lock_is_honest_so_the_pushed_commit_is_the_version(told):
    _, run, _ = told
    tagged = run("git", "rev-parse", "flight-delay@v1.0.0^{commit}", "HEAD~1").split()
    assert tagged[0] == tagged[1], f"{STALE}: {run('git', 'diff', '--stat', *reversed(tagged))}"
    assert verdict(run, "HEAD~1")["touched"] == []
    assert run("git", "diff", "--name-only", "HEAD", "flight-delay@v1.0.1").split() == sorted(
        ["dvc.lock", *(f"metrics/{name}" for name in CHANGING)]
    )


class Person:
    """Somebody with a clone, who types without having activated anything."""

    def __init__(self, folder, clone, source):
        self.folder, self.clone = folder, clone
        (folder / ".bin").mkdir(parents=True)
        for name in ("dvc", "pushforward"):
            (folder / ".bin" / name).symlink_to(PUSHFORWARD.parent / name)
        self.environment = {
            "PATH": f"{folder / '.bin'}:/usr/bin:/bin",
            "HOME": str(folder),
            "PYTHONPATH": str(clone / "src"),
            "TZ": "Asia/Kathmandu",
            "LC_ALL": "C",
            "PYTHONHASHSEED": "77",
            "OMP_NUM_THREADS": "1",
            "GIT_AUTHOR_NAME": "Bob",
            "GIT_COMMITTER_NAME": "Bob",
            "GIT_AUTHOR_EMAIL": "bob@example.org",
            "GIT_COMMITTER_EMAIL": "bob@example.org",
        }
        subprocess.run(["git", "clone", "-q", str(source), str(clone)], env=self.environment, check=True)

    def type(self, command):
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=self.clone,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        said = done.stdout.replace(self.clone.as_uri(), "file:///home/you/clone").replace(str(self.clone), "~/clone")
        lines = [line.rstrip() for line in said.splitlines()]
        if done.returncode != 0:
            lines.append(f"(exit code {done.returncode})")
        return lines


def typed(person, name, before=lambda command: None):
    """Type the block of the page on DVC that is called `name`: what each line said, and the block as it is to be."""
    head, begun, rest = DVC_PAGE.read_text().partition(
        f"<!-- typed by tests/test_flights_push.py: {name} -->\n```console\n"
    )
    block, ended, tail = rest.partition("```\n<!-- /typed -->")
    assert all((begun, ended)), f"docs/dvc.md has lost its block '{name}'"
    said = {}
    for number, command in enumerate(re.findall(r"^\$ (.+)$", block, re.MULTILINE)):
        said[number, command] = person.type(command)
        before(command)
    written = "".join("\n".join([f"$ {command}", *shortened(lines)]) + "\n" for (_, command), lines in said.items())
    if os.environ.get("UPDATE_GOLDEN"):
        DVC_PAGE.write_text(f"{head}{begun}{written}{ended}{tail}")
    else:
        assert calm(block) == calm(written), "run UPDATE_GOLDEN=1 on this file, and look at the difference"


def shortened(lines):
    """What the page shows: no names that come in any order, of many lines their ends, of a wide one its beginning."""
    lines = [line for line in lines if not re.match(r"md5: |data/|model$|```", line)]
    lines = [line if len(line) <= WIDEST else f"{line[: WIDEST - 1]}…" for line in lines]
    return [*lines[:3], "…", *lines[-3:]] if len(lines) > MOST_LINES else lines


@pytest.mark.ml_test_score("Infra 1")
def test_dvc_repro_in_a_fresh_clone_gives_exactly_what_is_committed(told):
    """Another path, another locale, nothing activated: every hash in dvc.lock, every byte of metrics/; and all else."""
    folder, run, _ = told
    place = folder / "a longer path, with blanks"
    person = Person(place, place / "clone", folder / "flights.git")
    person.type(f"git switch -q -C main {verdict(run, 'HEAD~1')['commit']}")

    def check(command):
        if command == "dvc repro":
            assert person.type("git status --porcelain") == [], f"{STALE}: {person.type('git diff --stat')}"
            digest = run("sha256sum", str(person.clone / "model" / "model.ubj")).split()[0]
            assert digest == verdict(run, "HEAD~1")["digests"]["model"]

    typed(person, "fresh", check)


def test_dvc_in_a_clone_of_a_team_says_what_the_page_on_it_shows(told):
    folder, run, _ = told
    person = Person(folder / "bob", folder / "team", folder / "flights.git")
    typed(person, "team")
    assert run("git", "-C", str(person.clone), "diff", "--stat", "flight-delay@v1.0.1") == ""


def calm(text):
    """The words, without what differs from run to run: seconds, commits, and the line breaks that follow from them."""
    words = " ".join(re.sub(r"^remote: ?", "", text, flags=re.MULTILINE).split())
    words = re.sub(r"\b\d\d:\d\d [AP]M\b", "00:00 AM", re.sub(r"\b[0-9a-f]{40}\b", "0000000", words))
    return re.sub(r"\b\d+\.\d s\b", "0.0 s", re.sub(r"\b[0-9a-f]{7,9}\b", "0000000", words))


def shown(said):
    """Of what a push says the lines that the README shows: who is judged how, and what comes of it."""
    lines = [line.rstrip() for line in said.splitlines()]
    first = next((number for number, line in enumerate(lines) if re.match(r"remote: [✓✗?=!] ", line)), len(lines))
    card = [line for line in lines[first:] if line.startswith("remote:")]
    end = next((number for number, line in enumerate(card) if line == "remote:" or line[10:11] == "!"), 0)
    return [*card[:end], *(line for line in card[end:] if line[10:].startswith(SHOWN))]


def test_the_readme_shows_what_a_push_prints(told):
    _, _, said = told
    text = README.read_text()
    head, block, tail = session(text)
    written = "".join("\n".join([f"$ {command}", *shown(words)]) + "\n" for command, words in said.items())
    if os.environ.get("UPDATE_README"):
        README.write_text(f"{head}{BEGIN}{written}{END}{tail}")
        return
    assert len(written.splitlines()) <= LONGEST
    assert calm(block) == calm(written), "run this test with UPDATE_README=1, and look at the difference"
