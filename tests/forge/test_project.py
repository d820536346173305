"""`pushforward setup gitlab` in a clone, against a double of GitLab with a bare repository behind it."""

import json
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner
from tests import docket_double
from tests.docket_double import TOKEN
from tests.github_double import DROPPED, HALF, Fault
from tests.team import make_toy

from pushforward.commands.cli import main
from pushforward.forge import project
from pushforward.registry import ssh

pytestmark = pytest.mark.whole

ADDRESS = "https://gitlab.com/octo/flights.git"
S3 = "s3://bucket/dvc"
JUDGE, PROMOTE = "judge*", "judge/promote"


class Place:
    """A clone of the toy, its hub, and GitLab before it."""

    def __init__(self, folder, gitlab):
        self.clone, self.hub, self.gitlab = folder / "toy", folder / "hub.git", gitlab

    def git(self, *args, at=None):
        done = subprocess.run(["git", "-C", str(at or self.clone), *args], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def setup(self, *args, code=0):
        result = CliRunner().invoke(main, ["setup", "gitlab", *args])
        assert result.exit_code == code, result.output
        return result.output

    def changed(self):
        """The calls that change something, each as its method and the end of its path."""
        return [
            (call.method, call.path.rpartition("octo%2Fflights")[2])
            for call in self.gitlab.calls
            if call.method != "GET"
        ]

    def variables(self):
        return {(one["key"], one["environment_scope"]): one for one in self.gitlab.settings.variables}

    def merge(self):
        self.git("update-ref", "refs/heads/main", "refs/heads/pushforward-setup", at=self.hub)


@pytest.fixture
def place(tmp_path, monkeypatch):
    make_toy(tmp_path / "toy")
    with docket_double.serve(docket_double.GitLab()) as gitlab:
        monkeypatch.setenv("GITLAB_TOKEN", TOKEN)
        monkeypatch.setenv("GITLAB_API_URL", f"{gitlab.url}/api/v4")
        made = Place(tmp_path, gitlab)
        made.git("init", "-q", "--bare", "-b", "main", str(made.hub), at=tmp_path)
        made.git("init", "-q", "-b", "main")
        key = tmp_path / "ann"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(key)], check=True)
        settings = {
            f"url.{made.hub}.insteadOf": ADDRESS,
            "user.name": "Ann",
            "user.email": "ann@example.org",
            "gpg.format": "ssh",
            "user.signingkey": f"{key}.pub",
        }
        for name, value in settings.items():
            made.git("config", name, value)
        made.git("remote", "add", "origin", ADDRESS)
        made.git("add", "-A")
        made.git("commit", "-q", "-m", "Begin")
        made.git("push", "-q", "origin", "HEAD:refs/heads/main")
        monkeypatch.chdir(made.clone)
        yield made


def test_a_first_set_up_does_all_and_the_next_one_nothing(place):
    said = place.setup("--store", S3, "--tool-from", f"https://example.org/pushforward.git@{'a' * 40}")
    assert "next     merge http" in said
    assert "then pushforward setup gitlab --dry-run, which looks again" in said
    assert "lost: a merge waits for the verdict in Ultimate alone" in said
    found = place.variables()
    assert set(found) == {
        ("PUSHFORWARD_FORGE_TOKEN", JUDGE),
        ("PUSHFORWARD_SEAL", JUDGE),
        ("PUSHFORWARD_SIGNING_KEY", PROMOTE),
    }
    assert all(one["protected"] for one in found.values())
    assert found["PUSHFORWARD_FORGE_TOKEN", JUDGE]["value"] == "glpat-1"
    assert [one["masked"] for one in found.values()] == [one != ("PUSHFORWARD_SIGNING_KEY", PROMOTE) for one in found]
    (token,) = place.gitlab.settings.tokens
    assert (token["access_level"], token["scopes"]) == (40, ["api", "write_repository"])
    settings = place.gitlab.settings
    assert settings.project["only_allow_merge_if_pipeline_succeeds"] is True
    assert settings.project["ci_pipeline_variables_minimum_override_role"] == "no_one_allowed"
    assert settings.project["protect_merge_request_pipelines"] is False
    assert [one["name"] for one in settings.tags] == ["*@v*", "*#*"]
    assert settings.branches == [{"name": "main", "push_access_level": 0, "merge_access_level": 40}]
    assert [(one["description"], one["cron"], one["ref"]) for one in settings.schedules] == [
        ("judge", "*/10 * * * *", "main"),
        ("verify", "17 4 * * 1", "main"),
    ]
    private = found["PUSHFORWARD_SIGNING_KEY", PROMOTE]["value"]
    assert private.startswith("-----BEGIN OPENSSH PRIVATE KEY-----\n")
    (merge,) = place.gitlab.merges
    assert (merge["source_branch"], merge["target_branch"]) == ("pushforward-setup", "main")
    asked = place.git("diff", "--name-only", "main", "pushforward-setup", at=place.hub).split()
    assert asked == [".dvc/config", ".github/allowed_signers", ".gitlab-ci.yml"]
    signers = ssh.read(place.git("show", "pushforward-setup:.github/allowed_signers", at=place.hub))
    assert len(signers) == 2, "the judge and Ann"
    assert private not in said

    place.merge()
    before = len(place.changed())
    again = place.setup("--store", S3)
    assert place.changed()[before:] == []
    words = {line.split()[0] for line in again.splitlines() if not line.startswith(" ")}
    assert words == {"ok", "without", "next"}
    assert len(place.gitlab.settings.tokens) == 1


def test_a_dry_run_prints_each_call_and_makes_none(place):
    said = place.setup("--dry-run", "--store", S3)
    assert place.changed() == []
    for words in (
        "PUT      projects/octo%2Fflights: is no_one_allowed from now on",
        "secret   PUSHFORWARD_SIGNING_KEY of the environment judge/promote: signs versions",
        "POST     projects/octo%2Fflights/protected_tags: lets nobody move it, and Maintainers alone make it",
        '{"description": "judge", "ref": "main", "cron": "*/10 * * * *"}',
    ):
        assert words in said
    assert said.rstrip().endswith("nothing was changed")
    told = json.loads(place.setup("--dry-run", "--json", "--store", S3))
    assert {step["name"] for step in told["steps"]} >= {
        "protected tag *@v*",
        "schedule judge",
        "variable PUSHFORWARD_SEAL",
    }


def test_what_people_have_set_up_stays(place):
    settings = place.gitlab.settings
    settings.branches += [
        {"name": "main", "push_access_levels": [{"access_level": 0}], "merge_access_levels": [{"access_level": 30}]},
        {"name": "release/*", "push_access_levels": [{"access_level": 30}]},
    ]
    settings.tags.append({"name": "*@v*", "create_access_levels": [{"access_level": 0}]})
    settings.variables.append({"key": "PUSHFORWARD_SEAL", "environment_scope": JUDGE, "protected": False, "value": "s"})
    said = place.setup("--store", S3)
    assert "lost: whoever may push to release/*, protected too, can read the judge's variables" in said
    assert settings.branches[0]["merge_access_levels"] == [{"access_level": 30}]
    assert [one["name"] for one in settings.tags] == ["*@v*", "*#*"]
    seal = place.variables()["PUSHFORWARD_SEAL", JUDGE]
    assert (seal["value"], seal["protected"]) == ("s", True), "kept, and kept from other branches"


def test_another_key_is_made_where_one_is_asked_for_and_the_rest_stays(place):
    place.setup("--store", S3)
    place.merge()
    before = {name: one["value"] for name, one in place.variables().items()}
    place.setup("--store", S3, "--rotate")
    after = {name: one["value"] for name, one in place.variables().items()}
    assert {name for name in after if after[name] != before[name]} == {("PUSHFORWARD_SIGNING_KEY", PROMOTE)}


def test_a_variable_for_every_job_is_told_of(place):
    wide = {"key": "PUSHFORWARD_SIGNING_KEY", "environment_scope": "*", "protected": True, "value": "x"}
    place.gitlab.settings.variables.append(wide)
    said = place.setup("--store", S3, code=6)
    assert "missing  variable PUSHFORWARD_SIGNING_KEY of *: other jobs read it, and the judge's has its own" in said


def test_an_older_gitlab_says_what_it_lacks(place):
    del place.gitlab.settings.project["ci_pipeline_variables_minimum_override_role"]
    said = place.setup("--store", S3)
    assert (
        "this GitLab has none such\n         lost: who may merge can start a judge with variables of their own" in said
    )


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (Fault(401, '{"message": "401 Unauthorized"}'), "GitLab answers 401"),
        (Fault(403, '{"message": "403 Forbidden"}'), "GitLab answers 403"),
        (Fault(429, '{"message": "slow"}', {"Retry-After": "900"}), "takes no more calls for now"),
        (DROPPED, "no whole answer of GitLab"),
        (HALF, "no whole answer of GitLab"),
        (Fault(500, '{"message": "500 Internal Server Error"}'), "GitLab answers 500"),
    ],
    ids=["401", "403", "429", "dropped", "half", "500"],
)
def test_what_fails_is_told_and_the_same_again_goes_on(place, monkeypatch, fault, said):
    monkeypatch.setattr("pushforward.forge.client.PAUSES", (0.0, 0.0))
    place.gitlab.fail("POST", "variables", fault)
    assert said in place.setup("--store", S3, code=6)
    place.setup("--store", S3)
    keyed = [name for name, _ in place.variables()]
    assert sorted(keyed) == ["PUSHFORWARD_FORGE_TOKEN", "PUSHFORWARD_SEAL", "PUSHFORWARD_SIGNING_KEY"]


def test_only_a_maintainer_sets_up(place, monkeypatch):
    place.gitlab.settings.project["permissions"] = {"project_access": {"access_level": 30}, "group_access": None}
    said = place.setup(code=6)
    assert "this token is of no Maintainer of https://gitlab.com/octo/flights\n  next: GITLAB_TOKEN:" in said
    monkeypatch.delenv("GITLAB_TOKEN")
    assert "nobody is logged in to gitlab.com: there is no GITLAB_TOKEN" in place.setup(code=6)
    assert place.changed() == []


@pytest.mark.parametrize(
    ("address", "host", "path"),
    [
        ("https://gitlab.com/octo/flights.git", "gitlab.com", "octo/flights"),
        ("git@gitlab.example.org:a/b/c/flights.git", "gitlab.example.org", "a/b/c/flights"),
        ("ssh://git@gitlab.example.org:2222/octo/flights", "gitlab.example.org", "octo/flights"),
        ("https://user:secret@gitlab.com/octo/flights", "gitlab.com", "octo/flights"),
    ],
)
def test_a_project_is_found_by_the_address_of_its_remote(monkeypatch, address, host, path):
    monkeypatch.setenv("GITLAB_TOKEN", "x")
    found = project.find(address)
    assert (found.host, found.path) == (host, path)


def test_a_folder_is_no_project(place):
    place.git("remote", "set-url", "origin", str(Path("/srv/flights.git")))
    assert "which is no project of GitLab" in place.setup(code=2)
