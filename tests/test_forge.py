"""One history everywhere: a server and the runner of a forge tell what they judge in the same words and pictures."""

import json
import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
from ruamel.yaml import YAML
from tests.team import PYTHON, make_team

from pushforward.actions import event, expression
from pushforward.git.repository import Repository

pytestmark = pytest.mark.slow

FLOWS = {name: Path(__file__).parent.parent / ".github" / "workflows" / f"{name}.yml" for name in ("train", "judge")}
TOKEN = "the-token-of-the-job"
MADE = r"\b[0-9a-f]{64}\b|Made by</dt><dd>[^<]*|ledger</dt><dd class=\"mono\" title=\"[0-9a-f]{40}\">[0-9a-f]{40}"


class Forge:
    """A bare repository on "another machine", and a runner that types what the workflow files say, step by step."""

    def __init__(self, folder, source):
        self.folder, self.bare = folder, folder / "toy.git"
        self.runs, self.pulls = 0, 0
        (folder / "store").mkdir()
        self.git(folder, "clone", "-q", "--bare", "--no-tags", str(source), str(self.bare))
        self.git(self.bare, "update-ref", "-d", "refs/heads/main")
        self.url = f"ext::git %s {self.bare}"
        key = folder / "ci"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(key)], check=True)
        self.secrets = {"PUSHFORWARD_SIGNING_KEY": key.read_text(), "PUSHFORWARD_SEAL": "5" * 64}
        self.said = ""

    @property
    def signer(self):
        """The line of the judge's key."""
        kind, body = (self.folder / "ci.pub").read_text().split()[:2]
        return f'pushforward@localhost namespaces="git,pushforward" {kind} {body} may=version\n'

    @staticmethod
    def git(folder, *args):
        done = subprocess.run(["git", "-C", str(folder), *args], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def clone(self, name, commit=""):
        """A clone as `actions/checkout` leaves one, or as a person makes one."""
        folder = self.folder / name
        shutil.rmtree(folder, ignore_errors=True)
        self.git(self.folder, "clone", "-q", self.url, str(folder))
        if commit:
            self.git(folder, "fetch", "-q", "origin", "+refs/pull/*:refs/remotes/pull/*")
            self.git(folder, "checkout", "-q", "--detach", commit)
        return folder

    def push(self, clone, branch="main"):
        """Take the tip of a branch of a clone, and run what that starts."""
        before = self.git(self.bare, "for-each-ref", "--format=%(objectname)", "refs/heads/main")
        head = self.git(clone, "rev-parse", branch)
        self.git(clone, "push", "-q", str(self.bare), f"{head}:refs/heads/{branch}")
        return self.run(head, branch, before)

    def run(self, head, branch="main", before=""):
        """Run what the push of a branch starts, or the pull request that was opened from it."""
        if branch == "main":
            what, subject = event.Event("push", head, "refs/heads/main", before=before), head
        else:
            what, subject = self._opened(head, branch)
        self.runs += 1
        shutil.rmtree(self.folder / "handover", ignore_errors=True)
        train = self.job("train", "train", what, subject)
        shutil.move(train / "handover", self.folder / "handover")
        main = self.git(self.bare, "rev-parse", "main")
        after = event.Event(
            "workflow_run",
            main,
            "refs/heads/main",
            action="completed",
            head=branch,
            head_sha=head,
            workflow="train",
            source=what.name,
            conclusion="success",
            run_id=self.runs,
            pull_requests=(self.pulls,) if branch != "main" else (),
        )
        judge = self.job("judge", "judge", after, main, handover=self.folder / "handover")
        shutil.rmtree(self.folder / "verdict", ignore_errors=True)
        shutil.move(judge / "verdict", self.folder / "verdict")
        taken = {name: self.folder / name for name in ("handover", "verdict")}
        self.job("judge", "promote", after, main, **taken)
        return head

    def _opened(self, head, branch):
        """A pull request from a branch: its number, and the merge that a forge makes."""
        self.pulls += 1
        main = Repository(self.bare).commit("main")
        tree, _ = Repository(self.bare).merge_tree(main, head)
        merge = self.git(self.bare, "commit-tree", tree, "-p", main, "-p", head, "-m", "Merge")
        self.git(self.bare, "update-ref", f"refs/pull/{self.pulls}/head", head)
        self.git(self.bare, "update-ref", f"refs/pull/{self.pulls}/merge", merge)
        ref = f"refs/pull/{self.pulls}/merge"
        opened = event.Event("pull_request", merge, ref, number=self.pulls, base="main", head=branch, head_sha=head)
        return opened, merge

    def job(self, flow, name, what, commit, **artifacts):
        """Type the commands of one job in a checkout of its own; the checkout."""
        told = YAML(typ="safe").load(FLOWS[flow])
        job = told["jobs"][name]
        contexts = event.context(what, event.Repository(self.bare, "toy", "main"), workflow_name=flow)
        contexts["github"] |= {"token": TOKEN}
        contexts |= {"secrets": self.secrets, "needs": {}, "env": {}}
        folder = self.clone(f"{flow}-{name}")
        self.git(folder, "fetch", "-q", "origin", "+refs/pull/*:refs/remotes/pull/*")
        self.git(folder, "checkout", "-q", "--detach", commit)
        (folder / ".venv").symlink_to(PYTHON.parent.parent)
        for place, source in artifacts.items():
            shutil.copytree(source, folder / place)
        if not expression.truth(expression.evaluate(job.get("if", "${{ true }}"), contexts)):
            return folder
        for step in (step for step in job["steps"] if "run" in step):
            if expression.truth(_decided(step.get("if", "${{ true }}"), contexts)):
                given = {**told["env"], **step.get("env", {})}
                mine = {key: _filled(str(text), contexts) for key, text in given.items()}
                self._type(step, folder, mine)
        return folder

    def _type(self, step, folder, env):
        here = {name: text for name, text in os.environ.items() if name in ("PATH", "HOME", "TZ", "DVC_NO_ANALYTICS")}
        here |= {"CI": "true", "GITHUB_ACTIONS": "true", "GITHUB_SERVER_URL": "https://github.com"}
        here |= {"GITHUB_STEP_SUMMARY": str(self.folder / "summary.md")}
        done = subprocess.run(
            shlex.split(step["run"]), cwd=folder, env=here | env, capture_output=True, text=True, check=False
        )
        self.said += f"## {step['name']}\n{done.stdout}{done.stderr}"
        assert done.returncode == 0 or step.get("continue-on-error"), self.said


def _filled(text, contexts):
    """A variable's text; of an index the evaluator knows nothing."""
    run = contexts["github"]["event"].get("workflow_run", {})
    if text == "${{ github.event.workflow_run.pull_requests[0].number }}":
        return "".join(str(pull["number"]) for pull in run["pull_requests"])
    return expression.text(expression.evaluate(text, contexts))


def _decided(condition, contexts):
    """A step's condition; nothing was cancelled."""
    return expression.evaluate(condition.replace("!cancelled()", "true"), contexts)


def pushforward(folder, *args):
    env = {**os.environ, "HOME": str(folder.parents[1] / "home")}
    done = subprocess.run(
        [str(PYTHON.parent / "pushforward"), *args],
        cwd=folder,
        env=env | {"PYTHONPATH": str(folder / "src")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """A clone of a server and one of a forge that got the same three pushes: a first model, a worse one, a better."""
    folder = tmp_path_factory.mktemp("both")
    (folder / "home").mkdir()
    (folder / "home" / ".gitconfig").write_text(
        "[user]\n\tname = Ann\n\temail = ann@example.org\n[init]\n\tdefaultBranch = main\n"
        '[advice]\n\tdetachedHead = false\n[protocol "ext"]\n\tallow = always\n'
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(folder / "home"))
        for name in ("server", "forge"):
            (folder / name).mkdir()
        team = make_team(folder / "server")
        forge = Forge(folder / "forge", team.clone)
        (team.clone / ".github" / "allowed_signers").write_text(forge.signer)
        team.git("add", "-A")
        team.git("commit", "-q", "--amend", "--no-edit")
        said = team.push()
        forge.push(team.clone)
        team.git("switch", "-q", "-c", "worse")
        worse = team.commit("params.yaml", "buckets: 2", "buckets: 1", "Use one bucket")
        said += team.push("worse")
        forge.push(team.clone, "worse")
        team.git("switch", "-q", "main")
        team.commit("params.yaml", "buckets: 2", "buckets: 6", "Use six buckets")
        said += team.push()
        forge.push(team.clone)
        (folder / "forge" / "log").write_text(forge.said)
        team.git("clone", "-q", "-o", "local", str(team.bare), str(folder / "server" / "reader"))
        forge.git(forge.bare, "update-ref", "-d", "refs/heads/worse")  # as a forge does where one is closed
        yield folder / "server" / "reader", forge.clone("reader"), worse, forge


def alike(text):
    """A text without addresses, moments, durations and what is signed with another key."""
    text = re.sub(r"\b\d{4}-\d\d-\d\d[ T]\d\d:\d\d(:\d\d(\+00:00|Z))?", "MOMENT", text)
    text = re.sub(r"\b\d+\.\d s\b", "SECONDS", text)
    text = re.sub(r'(class="outcome \w+">\w+</span></td><td class="number">)\d+\.\d', r"\1SECONDS", text)
    return text.replace("git fetch local", "git fetch origin")


def test_show_says_the_same(both):
    server, forge, *_ = both
    shown = [pushforward(clone, "show", "--json") for clone in (server, forge)]
    assert alike(shown[0]) == alike(shown[1])
    assert '"verdict": "hold"' in shown[1]
    assert '"version": "v1.1.0"' in shown[1]


def test_reports_say_the_same(both):
    server, forge, worse, _ = both
    for commit in ("main", "main^", worse, worse[:9]):
        for options in ((), ("--markdown",)):
            shown = [pushforward(clone, "report", commit, *options) for clone in (server, forge)]
            assert alike(shown[0]) == alike(shown[1])


def test_pages_show_the_same(both, tmp_path):
    pages = []
    for name, clone in zip(("server", "forge"), both[:2], strict=True):
        pushforward(clone, "web", "--export", str(tmp_path / name))
        files = [path for path in sorted((tmp_path / name).rglob("*")) if path.is_file()]
        pages.append({str(path.relative_to(tmp_path / name)): path.read_bytes() for path in files})
    assert pages[0].keys() == pages[1].keys()
    for name in pages[0]:
        one, other = (alike(page[name].decode()) for page in pages)
        if name.startswith("version/"):  # it says by whose runner, and the digest of the statement that says so
            one, other = (re.sub(MADE, "MADE", page) for page in (one, other))
        if name == "feed.xml":  # in the order of the moments, which are not the same
            one, other = (sorted(page.split("<entry>")) for page in (one, other))
        assert one == other, name


def test_what_runs_have_left_in_git_is_the_same(both):
    server, _, worse, forge = both
    bare = forge.git(server, "remote", "get-url", "local")
    listed = ("for-each-ref", "--format=%(refname) %(objectname)", "refs/pushforward/run", "refs/pushforward/trial")
    mine, theirs = (forge.git(folder, *listed).splitlines() for folder in (forge.bare, bare))
    assert mine == [line for line in theirs if "/trial/" not in line]
    assert len(mine) == 2
    assert worse not in " ".join(mine), "of a pull request nothing of its own is kept"


def test_what_is_left_to_ask_and_what_was_signed_is_told_the_same(both):
    server, forge, *_ = both
    plans = [pushforward(clone, "gate", "--plan") for clone in (server, forge)]
    assert plans[0] == plans[1]
    assert "toy@v1.1.0 was promoted on it" in " ".join(plans[1].split())
    for clone in (server, forge):
        assert "toy@v1.1.0" in pushforward(clone, "verify", "v1.1.0", "--quick")


def test_git_alone_shows_a_report_that_reads_like_one(both):
    _, clone, worse, forge = both
    pushforward(clone, "show")
    shown = forge.git(clone, "notes", "--ref=pushforward", "show", worse)
    assert shown.startswith(f"## ⛔ Hold: `{worse[:7]}` does not replace `toy@v1.0.0`")
    assert '"verdict"' not in shown
    assert "look 1 of 10" not in shown, "its holdout has retired since: the numbers are open"
    assert "| log loss ↓ |" in shown


def test_a_comment_finds_the_champions_card(both):
    *_, forge = both
    recorded = json.loads((forge.folder / "verdict" / "recorded.json").read_text())
    commit, _, card = recorded["card"].partition("/")
    assert card == "versions/toy@v1.0.0/card.md"
    assert "toy@v1.0.0" in forge.git(forge.bare, "show", f"{commit}:{card}")
