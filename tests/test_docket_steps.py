"""What the files for GitLab and for Gitea do, step by step, against a bare repository and doubles of their APIs."""

import os
import re
import shutil
import subprocess

import pytest
from ruamel.yaml import YAML
from tests import docket_double
from tests.forge.test_docket import of_gitea, of_gitlab
from tests.team import PYTHON, make_team

from pushforward.project import workflows
from pushforward.project.workflows import Form

pytestmark = pytest.mark.slow

INHERITED = ("PATH", "HOME", "TZ", "DVC_NO_ANALYTICS")
MARK = "<!-- pushforward"


class Runner:
    """A forge's bare repository on "another machine", and what both runners have: clones, keys, a shell."""

    kind, file = "", ""

    def __init__(self, folder, source, double):
        self.folder, self.bare, self.double, self.said = folder, folder / "toy.git", double, ""
        (folder / "store").mkdir()
        git(folder, "clone", "-q", "--bare", "--no-tags", str(source), str(self.bare))
        git(self.bare, "update-ref", "-d", "refs/heads/main")
        self.url = f"ext::git %s {self.bare}"
        key = folder / "ci"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(key)], check=True)
        self.seal = {"PUSHFORWARD_SEAL": "5" * 64}
        self.key = {"PUSHFORWARD_SIGNING_KEY": key.read_text()}
        self.files = {made.path: made for made in workflows.render(Form("main", "src", "echo set up", forge=self.kind))}

    @property
    def signer(self):
        kind, body = (self.folder / "ci.pub").read_text().split()[:2]
        return f'pushforward@localhost namespaces="git,pushforward" {kind} {body} may=version\n'

    def tree(self, name):
        return YAML(typ="safe").load(self.files[name].body)

    def checkout(self, name, commit):
        folder = self.folder / name
        shutil.rmtree(folder, ignore_errors=True)
        git(self.folder, "clone", "-q", self.url, str(folder))
        for refs in ("refs/pull/*", "refs/merge-requests/*"):
            git(folder, "fetch", "-q", "origin", f"+{refs}:{refs}")
        git(folder, "checkout", "-q", "--detach", commit)
        (folder / ".venv").symlink_to(PYTHON.parent.parent)
        return folder

    def type(self, line, folder, env, *, fatal=True):
        here = {name: os.environ[name] for name in INHERITED if name in os.environ} | {"CI": "true"}
        done = subprocess.run(
            ["bash", "-c", line], cwd=folder, env=here | env, capture_output=True, text=True, check=False
        )
        self.said += f"## {line}\n{done.stdout}{done.stderr}"
        assert done.returncode == 0 or not fatal, self.said
        return done.returncode

    def tags(self):
        return git(self.bare, "tag", "--list").split()

    def notes(self, commit):
        return git(self.bare, "notes", "--ref=pushforward", "show", commit)


def git(folder, *args):
    done = subprocess.run(["git", "-C", str(folder), *args], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


class GitLabRunner(Runner):
    """A runner that follows .gitlab-ci.yml: jobs by their rules, anchors and `extends` resolved, artifacts by name."""

    kind = "gitlab"

    def job(self, name, commit, variables, secrets=None, **artifacts):
        tree = self.tree(".gitlab-ci.yml")
        job, bases = tree[name], []
        while "extends" in job:
            bases, job = (
                [job, *bases],
                tree[job["extends"]]
                | {key: value for key, value in job.items() if key not in {"extends", "variables"}}
                | ({"extends": tree[job["extends"]]["extends"]} if "extends" in tree[job["extends"]] else {}),
            )
        given = dict(tree[".pushforward"]["variables"])
        given |= {key: text for base in reversed(bases) for key, text in base.get("variables", {}).items()}
        rule = next((rule for rule in tree[name]["rules"] if holds(rule["if"], variables)), None)
        if rule is None:
            return None
        given |= rule.get("variables", {})
        env = of_gitlab(self.double) | {"CI_SERVER_URL": self.double.url} | variables | (secrets or {})
        if secrets is None:
            env.pop("PUSHFORWARD_FORGE_TOKEN")
        env |= {key: re.sub(r"\$(\w+)", lambda found: env.get(found[1], ""), text) for key, text in given.items()}
        folder = self.checkout(name, commit)
        for place, source in artifacts.items():
            shutil.copytree(source, folder / place)
        for line in [*job.get("before_script", []), *job["script"]]:
            if not line.startswith(("pip install", "git remote set-url")):
                code = self.type(line, folder, env, fatal=name != "train")
                if code:
                    break
        return folder


def holds(condition, variables):
    """A rule's condition: comparisons joined by &&."""
    for part in condition.split(" && "):
        left, operator, right = part.split(" ", 2)
        value = variables.get(left.removeprefix("$"), "")
        wanted = variables.get(right.removeprefix("$"), "") if right.startswith("$") else right.strip('"')
        if operator == "=~":
            found = re.search(right.strip("/"), value) is not None
        else:
            found = (value == wanted) if operator == "==" else (value != wanted)
        if not found:
            return False
    return True


def start(tmp_path, kind, double):
    """A project whose judge's key counts, and a runner of the forge with its bare repository."""
    (tmp_path / "home").mkdir(exist_ok=True)
    (tmp_path / "home" / ".gitconfig").write_text(
        "[user]\n\tname = Ann\n\temail = ann@example.org\n[init]\n\tdefaultBranch = main\n"
        '[advice]\n\tdetachedHead = false\n[protocol "ext"]\n\tallow = always\n'
    )
    (tmp_path / "team").mkdir()
    (tmp_path / "forge").mkdir()
    team = make_team(tmp_path / "team")
    runner = kind(tmp_path / "forge", team.clone, double)
    (team.clone / ".github" / "allowed_signers").write_text(runner.signer)
    team.git("add", "-A")
    team.git("commit", "-q", "--amend", "--no-edit")
    return team, runner


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return tmp_path


def test_gitlab(home):
    with docket_double.serve(docket_double.GitLab()) as double:
        team, runner = start(home, GitLabRunner, double)
        main = team.git("rev-parse", "main").strip()
        git(team.clone, "push", "-q", str(runner.bare), "main:refs/heads/main")
        pushed = {"CI_PIPELINE_SOURCE": "push", "CI_COMMIT_BRANCH": "main", "CI_COMMIT_SHA": main}
        pushed |= {"CI_DEFAULT_BRANCH": "main", "CI_COMMIT_BEFORE_SHA": "0" * 40}
        judge = runner.seal | {"PUSHFORWARD_FORGE_TOKEN": docket_double.TOKEN}
        train = runner.job("train", main, pushed)
        judged = runner.job("judge", main, pushed, judge, handover=train / "handover")
        given = {name: judged / name for name in ("verdict", "handover")}
        runner.job("promote", main, pushed, judge | runner.key, **given)
        assert runner.tags() == ["toy#staging#1", "toy@v1.0.0"], runner.said
        assert [(one["sha"], one["state"]) for one in double.statuses] == [(main, "success")]
        assert runner.job("sweep", main, pushed, judge) is None, "a push is judged in its own pipeline"

        team.git("switch", "-q", "-c", "worse")
        head = team.commit("params.yaml", "buckets: 2", "buckets: 1", "Use one bucket")
        git(team.clone, "push", "-q", str(runner.bare), "worse:refs/heads/worse", "worse:refs/merge-requests/5/head")
        double.open(5, head, "worse")
        asked = {"CI_PIPELINE_SOURCE": "merge_request_event", "CI_MERGE_REQUEST_TARGET_BRANCH_NAME": "main"}
        asked |= {"CI_DEFAULT_BRANCH": "main", "CI_COMMIT_SHA": head}
        train = runner.job("train", head, asked)
        files = {f"handover/{path.relative_to(train / 'handover')}": path.read_bytes()
                 for path in (train / "handover").rglob("*") if path.is_file()}  # fmt: skip
        double.train(5, head, files)
        for name in ("judge", "promote", "sweep", "verify", "release"):
            assert runner.job(name, head, asked, judge) is None, "a merge request's pipeline only trains"

        due = {"CI_PIPELINE_SOURCE": "schedule", "CI_COMMIT_BRANCH": "main", "CI_DEFAULT_BRANCH": "main"}
        runner.job("sweep", main, due, judge)
        (comment,) = double.comments
        assert comment["pull"] == 5
        assert comment["body"].startswith(f"## ⛔ Hold: `{head[:7]}` does not replace `toy@v1.0.0`"), runner.said
        assert MARK in comment["body"]
        assert (double.statuses[-1]["sha"], double.statuses[-1]["state"]) == (head, "failed")
        assert runner.notes(head).startswith("## ⛔ Hold")
        runner.job("sweep", main, due, judge)
        assert "judged: 0" in runner.said.rpartition("## ")[2]
        assert len(double.comments) == 1
        assert not [line for line in runner.said.splitlines() if "Traceback" in line]


class GiteaRunner(Runner):
    """A runner that follows the files below .gitea/workflows: the `run` of each step, by its condition."""

    kind = "gitea"

    def job(self, flow, name, commit, event, secrets=None, **artifacts):
        tree = self.tree(f".gitea/workflows/{flow}.yml")
        folder = self.checkout(f"{flow}-{name}", commit)
        for place, source in artifacts.items():
            if source.exists():
                shutil.copytree(source, folder / place)
        env = {key: str(text) for key, text in tree["env"].items() if "${{" not in str(text)}
        env |= {key: text for key, text in of_gitea(self.double).items() if key != "PUSHFORWARD_FORGE_TOKEN"}
        known = {f"secrets.{key}": text for key, text in (secrets or {}).items()}
        known |= {
            "github.event_name == 'push'": str(event == "push").lower(),
            "github.event_name == 'pull_request'": str(event == "pull_request").lower(),
            "github.event_name": event,
            "github.event.before": "0" * 40 if event == "push" else "",  # main is pushed once here, and is new
            "github.event.pull_request.head.sha || github.sha": commit,
            "github.token": "the-token-of-the-job",
            "always()": "true",
        }
        failed = False
        for step in (step for step in tree["jobs"][name]["steps"] if "run" in step):
            condition = step.get("if", "${{ true }}")[4:-3]
            if known.get(condition, "true") == "true" and (not failed or condition == "always()"):
                filled = {
                    key: re.sub(r"\$\{\{ (.*?) \}\}", lambda found: known[found[1]], str(text))
                    for key, text in step.get("env", {}).items()
                }
                failed = bool(self.type(step["run"], folder, env | filled, fatal=flow == "judge"))
        return folder


def test_gitea(home):
    with docket_double.serve(docket_double.Gitea()) as double:
        team, runner = start(home, GiteaRunner, double)
        main = team.git("rev-parse", "main").strip()
        git(team.clone, "push", "-q", str(runner.bare), "main:refs/heads/main")
        secrets = {"PUSHFORWARD_FORGE_TOKEN": docket_double.TOKEN, **runner.seal, **runner.key}
        runner.job("train", "train", main, "push")
        team.git("switch", "-q", "-c", "worse")
        head = team.commit("params.yaml", "buckets: 2", "buckets: 1", "Use one bucket")
        git(team.clone, "push", "-q", str(runner.bare), "worse:refs/heads/worse", "worse:refs/pull/5/head")
        double.open(5, head, "worse")
        judged = runner.job("judge", "judge", main, "schedule", secrets)
        runner.job("judge", "promote", main, "schedule", secrets, judged=judged / "judged")
        assert runner.tags() == ["toy#staging#1", "toy@v1.0.0"], runner.said
        assert [(one["sha"], one["state"]) for one in double.statuses] == [(main, "success")]

        runner.job("train", "train", head, "pull_request")
        judged = runner.job("judge", "judge", main, "workflow_run", secrets)
        runner.job("judge", "promote", main, "workflow_run", secrets, judged=judged / "judged")
        (comment,) = double.comments
        assert comment["body"].startswith(f"## ⛔ Hold: `{head[:7]}` does not replace `toy@v1.0.0`"), runner.said
        assert (double.statuses[-1]["sha"], double.statuses[-1]["state"]) == (head, "failure")
        assert runner.notes(head).startswith("## ⛔ Hold")
        assert git(runner.bare, "for-each-ref", "refs/pushforward/handover") == ""
        assert runner.tags() == ["toy#staging#1", "toy@v1.0.0"]
        assert not [line for line in runner.said.splitlines() if "Traceback" in line]
