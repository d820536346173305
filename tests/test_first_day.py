"""The first day on GitHub, by its page: from an empty repository to a judged pull request, command by command."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests import gh_stub, github_double
from tests.github_double import TOKEN
from tests.team import PYTHON, make_toy
from tests.test_forge import Forge

from pushforward.actions import event

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "github.md"
ADDRESS = "https://github.com/octo/flights.git"
MOST = 3  # commands


class Hub(Forge):
    """The bare repository behind the double of GitHub; a job with `environment: judge` has its secrets, no other."""

    def __init__(self, folder, github):
        self.folder, self.bare, self.github = folder, folder / "hub.git", github
        self.runs, self.pulls, self.said = 0, 0, ""
        self.git(folder, "init", "-q", "--bare", "-b", "main", str(self.bare))
        self.url = f"ext::git %s {self.bare}"

    @property
    def secrets(self):
        kept = self.github.settings.secrets.get("judge", {})
        return {name: one["plain"] for name, one in kept.items()}


def commands():
    """What the page has somebody type."""
    (block,) = re.findall(
        r"<!-- first day: [^\n]*-->\n```sh\n(.*?)```\n<!-- /first day -->", PAGE.read_text(), re.DOTALL
    )
    return [shlex.join(shlex.split(line, comments=True)) for line in block.splitlines()]


@pytest.fixture
def day(tmp_path, monkeypatch):
    """An empty repository, gh logged in, and a clone with a project that is committed."""
    folder = tmp_path / "day"
    (folder / "home").mkdir(parents=True)
    (folder / "home" / ".gitconfig").write_text(
        "[user]\n\tname = Ann\n\temail = ann@example.org\n\tsigningkey = ~/.ssh/id_ed25519.pub\n[gpg]\n\tformat = ssh\n"
        f'[protocol "ext"]\n\tallow = always\n[url "{folder}/hub.git"]\n\tinsteadOf = {ADDRESS}\n'
    )
    key = folder / "home" / ".ssh" / "id_ed25519"
    key.parent.mkdir()
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(key)], check=True)
    certificate = github_double.certify(folder)
    monkeypatch.setenv("HOME", str(folder / "home"))
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with github_double.serve(certificate) as github:
        variables, _ = gh_stub.install(folder / "bin", f"{github.url}{github_double.API}", TOKEN)
        for name in ("GH_TOKEN", "GITHUB_TOKEN", "GITHUB_API_URL", "PUSHFORWARD_RUN", "CI"):
            monkeypatch.delenv(name, raising=False)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("PATH", f"{folder / 'bin'}:{PYTHON.parent}{os.pathsep}{os.environ['PATH']}")
        clone = folder / "toy"
        make_toy(clone)
        hub = Hub(folder, github)
        for argv in (["init", "-q", "-b", "main"], ["add", "-A"], ["commit", "-q", "-m", "Begin"]):
            hub.git(clone, *argv)
        hub.git(clone, "remote", "add", "origin", ADDRESS)
        yield hub, clone


def typed(clone, command):
    done = subprocess.run(["bash", "-c", command], cwd=clone, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return done.stdout


def posted(hub, head):
    """What the job `post` says of a commit."""
    payload = {
        "workflow_run": {"event": "pull_request", "head_sha": head, "head_branch": "my-idea", "conclusion": "success"}
    }
    (hub.folder / "event.json").write_text(json.dumps(payload | {"repository": {"default_branch": "main"}}))
    env = os.environ | {
        "GITHUB_API_URL": f"{hub.github.url}{github_double.API}",
        "GITHUB_EVENT_PATH": str(hub.folder / "event.json"),
        "GITHUB_REPOSITORY": "octo/flights",
        "GITHUB_RUN_ID": "41",
        "GITHUB_SERVER_URL": hub.github.url,
        "GITHUB_TOKEN": TOKEN,
    }
    post = ROOT / ".github" / "actions" / "report" / "post.py"
    subprocess.run([sys.executable, str(post), "status", "verdict/verdict.json"], cwd=hub.folder, env=env, check=True)
    return hub.github.statuses


def test_three_commands_lead_from_an_empty_repository_to_a_judged_pull_request(day):
    hub, clone = day
    told = commands()
    assert len(told) <= MOST
    store = hub.folder / "dvc"
    store.mkdir()
    # a bucket and a team of this test, in place of the page's
    first, push, ask = (line.replace("s3://my-bucket/dvc", str(store)).replace("my-org/", "octo/") for line in told)

    said = typed(clone, first)
    assert "missing" not in said
    head = hub.git(hub.bare, "rev-parse", "main")
    assert head == hub.git(clone, "rev-parse", "HEAD")
    hub.run(head)
    assert "toy@v1.0.0" in hub.git(hub.bare, "tag").split(), hub.said

    hub.git(clone, "switch", "-q", "-c", "my-idea")
    params = clone / "params.yaml"
    params.write_text(params.read_text().replace("buckets: 2", "buckets: 6"))
    hub.git(clone, "commit", "-q", "-am", "Use six buckets")
    typed(clone, push)
    assert typed(clone, ask) == "https://github.com/octo/flights/pull/1\n"
    assert hub.github.settings.opened[-1]["head"] == "my-idea"
    head = hub.run(hub.git(hub.bare, "rev-parse", "my-idea"), "my-idea")
    assert json.loads((hub.folder / "verdict" / "verdict.json").read_text())["verdict"] == "promote", hub.said
    assert "Promote" in hub.git(hub.bare, "notes", "--ref=pushforward", "show", head)
    (status,) = posted(hub, head)
    assert (status["sha"], status["state"], status["context"]) == (head, "success", "pushforward")

    assert typed(clone, "pushforward check --github").startswith(f"ok       store: {store}, written and read")
    assert "v1.0.0" in typed(clone, "pushforward show")


def test_a_store_that_the_runner_lacks_is_the_judges_word_on_it(day):
    hub, clone = day
    store = hub.folder / "dvc"
    store.mkdir()
    typed(clone, f"pushforward setup github --store {store} --reviewer octo/releasers")
    store.rmdir()
    head = hub.git(hub.bare, "rev-parse", "main")
    with pytest.raises(AssertionError):
        hub.run(head)
    assert "stages:" not in hub.said, "told before anything was trained"
    shutil.move(hub.folder / "train-train" / "handover", hub.folder / "handover")
    told = {"action": "completed", "head": "main", "head_sha": head, "workflow": "train", "source": "push"}
    after = event.Event("workflow_run", head, "refs/heads/main", **told, conclusion="failure", run_id=1)
    judge = hub.job("judge", "judge", after, head, handover=hub.folder / "handover")
    report = (judge / "verdict" / "report.md").read_text()
    assert re.search(r"The DVC remote \S*dvc\S* does not exist", report), report
