"""`pushforward setup github` in a clone, against doubles of gh and of GitHub with a bare repository behind them."""

import base64
import json
import os
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from nacl.public import PrivateKey, SealedBox
from tests import documents, gh_stub, github_double
from tests.github_double import HALF, READ_ONLY, SERVER_ERROR, TOKEN, Fault, refusal
from tests.team import make_toy

from pushforward.commands.cli import main
from pushforward.registry import ssh

pytestmark = pytest.mark.whole

PAGE = Path(__file__).parent.parent.parent / "docs" / "github.md"
GOLDEN = Path(__file__).parent.parent / "golden" / "setup-github.txt"
ADDRESS = "https://github.com/octo/flights.git"
SECRETS = {"PUSHFORWARD_SIGNING_KEY", "PUSHFORWARD_SEAL"}
S3 = "s3://bucket/dvc"
WRITER, READER = (f"arn:aws:iam::123456789012:role/pushforward-{name}" for name in ("writer", "reader"))
ROLES = ("--aws-role", WRITER, "--aws-reader-role", READER)


@dataclass
class Place:
    """A clone of the toy, its hub, and GitHub before it."""

    folder: Path
    github: Any
    box: Any  # what secrets are sealed to

    @property
    def clone(self):
        return self.folder / "toy"

    @property
    def hub(self):
        return self.folder / "hub.git"

    def git(self, *args, at=None, check=True):
        done = subprocess.run(["git", "-C", str(at or self.clone), *args], capture_output=True, text=True, check=False)
        assert not check or done.returncode == 0, done.stderr
        return done.stdout.strip()

    def setup(self, *args, code=0):
        result = CliRunner().invoke(main, ["setup", "github", *args])
        assert result.exit_code == code, result.output
        return result.output

    def calls(self):
        """The calls that change something."""
        return [call for call in self.github.calls if call.method != "GET"]

    def opened(self, name, scope="judge"):
        """The value of a secret."""
        sealed = self.github.settings.secrets[scope][name]["encrypted_value"]
        return SealedBox(self.box).decrypt(base64.b64decode(sealed)).decode()

    def push(self):
        """Give the hub a default branch."""
        self.git("push", "-q", "origin", "HEAD:refs/heads/main")

    def merge(self):
        """Merge the pull request of the set-up."""
        self.git("update-ref", "refs/heads/main", "refs/heads/pushforward-setup", at=self.hub)

    def file(self, path, branch="main"):
        return self.git("show", f"{branch}:{path}", at=self.hub)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    return github_double.certify(tmp_path_factory.mktemp("certificate"))


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    folder = tmp_path_factory.mktemp("toy") / "toy"
    make_toy(folder)
    for argv in (["init", "-q", "-b", "main"], ["add", "-A"], ["commit", "-q", "-m", "Begin"]):
        who = ["-c", "user.name=Ann", "-c", "user.email=ann@example.org"]
        subprocess.run(["git", "-C", str(folder), *who, *argv], check=True)
    return folder


@pytest.fixture
def place(certificate, toy, tmp_path, monkeypatch):
    """By a token: as many processes as gh wants calls take long."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    monkeypatch.delenv("GITHUB_TOKEN", raising=False)
    with github_double.serve(certificate) as github:
        monkeypatch.setenv("GH_TOKEN", TOKEN)
        monkeypatch.setenv("GITHUB_API_URL", f"{github.url}{github_double.API}")
        made = Place(tmp_path, github, PrivateKey.generate())
        github.settings.key = base64.b64encode(bytes(made.box.public_key)).decode()
        made.git("init", "-q", "--bare", "-b", "main", str(made.hub), at=tmp_path)
        made.git("clone", "-q", str(toy), str(made.clone), at=tmp_path)
        key = tmp_path / "ann"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(key)], check=True)
        made.git("remote", "set-url", "origin", ADDRESS)
        settings = {
            f"url.{made.hub}.insteadOf": ADDRESS,
            "user.name": "Ann",
            "user.email": "ann@example.org",
            "gpg.format": "ssh",
            "user.signingkey": f"{key}.pub",
        }
        for name, value in settings.items():
            made.git("config", name, value)
        monkeypatch.chdir(made.clone)
        yield made


@pytest.fixture
def gh(place, monkeypatch):
    """By gh; what it was called with to change something, as it is read."""
    variables, record = gh_stub.install(place.folder / "bin", f"{place.github.url}{github_double.API}", TOKEN)
    monkeypatch.setenv("PATH", f"{place.folder / 'bin'}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.delenv("GH_TOKEN")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return lambda: [line for line in record.read_text().splitlines() if '"GET"' not in line]


def test_the_calls_of_a_first_set_up_are_these(place, gh):
    place.setup("--store", S3, *ROLES, "--reviewer", "octo/releasers")
    told = "".join(f"{line}\n" for line in gh())
    if os.environ.get("UPDATE_GOLDEN"):
        GOLDEN.write_text(told)
    assert told == GOLDEN.read_text()
    assert place.github.settings.secrets["judge"]["PUSHFORWARD_SIGNING_KEY"]["plain"].startswith("-----BEGIN OPENSSH")


def by_hand():
    """The calls of docs/github.md: (method, path, body), and the secrets."""
    text = (
        PAGE.read_text()
        .partition("## By hand")[2]
        .partition("\n## ")[0]
        .replace("{owner}/{repo}", "octo/flights")
        .replace("\\\n", "")
    )
    calls = []
    for line, body in re.findall(r"(gh api --method [^\n]+?)(?: --input - <<'JSON'\n(.*?)\nJSON)?\n", text, re.DOTALL):
        words = shlex.split(line)
        told = dict(pair.split("=", 1) for pair in words[5:] if pair != "-f")
        calls.append((words[3], words[4], json.loads(body) if body else told))
    return calls, set(re.findall(r"gh secret set (\w+) --env judge", text))


def test_the_page_does_by_hand_what_the_command_does(place):
    place.github.settings.permissions = {"default_workflow_permissions": "write"}
    place.setup("--store", S3, *ROLES, "--reviewer", "octo/releasers")
    done = [call for call in place.calls() if "/secrets/" not in call.path]
    calls, secrets = by_hand()
    mine = [(call.method, call.path.removeprefix(f"{github_double.API}/"), call.body) for call in done]
    assert sorted(mine, key=str) == sorted(calls, key=str)
    assert secrets == SECRETS


def test_an_empty_repository_gets_its_branch_before_it_is_closed(place):
    said = place.setup("--store", S3)
    assert "pushed" in said
    assert place.git("rev-parse", "HEAD") == place.git("rev-parse", "main", at=place.hub), "the clone has it too"
    assert S3 in place.file(".dvc/config")
    assert "/pushforward.yaml @ann" in place.file(".github/CODEOWNERS")
    known = ssh.read(place.file(".github/allowed_signers"))
    assert [(one.principal, sorted(one.may)) for one in known] == [
        ("pushforward@localhost", ["version"]),
        ("ann@example.org", ["production"]),
    ]
    assert {name for name, _ in place.github.settings.secrets["judge"].items()} == SECRETS
    assert [one["name"] for one in place.github.settings.rulesets] == [
        "main is judged",
        "registry tags stay",
        "people release",
    ]
    order = [call.path.rpartition("/flights/")[2] for call in place.calls()]
    assert order[-3:] == ["rulesets"] * 3, "what closes the branch comes last"


def test_the_private_half_is_where_the_public_one_says_and_nowhere_else(place):
    place.setup("--store", S3)
    private = place.opened("PUSHFORWARD_SIGNING_KEY")
    key = place.folder / "again"
    key.write_text(private)
    key.chmod(0o600)
    told = subprocess.run(["ssh-keygen", "-y", "-P", "", "-f", str(key)], capture_output=True, text=True, check=True)
    assert told.stdout.split()[:2] == ssh.read(place.file(".github/allowed_signers"))[0].key.split()
    key.unlink()
    body = private.splitlines()[2]
    found = [path for path in place.folder.rglob("*") if path.is_file() and body.encode() in path.read_bytes()]
    assert found == []


def test_what_is_right_is_left(place):
    place.setup("--store", S3, "--reviewer", "bea")
    before = place.calls()
    said = place.setup("--reviewer", "bea")
    assert place.calls() == before
    assert "to do" not in said
    assert "next     pushforward check --github" in said


def test_a_dry_run_prints_each_call_and_changes_nothing(place):
    said = place.setup("--store", S3, "--dry-run")
    assert place.calls() == []
    assert place.git("for-each-ref", at=place.hub) == ""
    assert place.git("status", "--porcelain") == ""
    assert "PUT      repos/octo/flights/environments/judge: makes the environment judge" in said
    assert '{"deployment_branch_policy": {"protected_branches": false, "custom_branch_policies": true}}' in said
    assert "secret   PUSHFORWARD_SIGNING_KEY of the environment judge: signs versions" in said
    assert "PRIVATE KEY" not in said
    assert "file     .github/allowed_signers: says that the signature of the judge's key and the key of" in said
    assert said.endswith("nothing was changed\n")


def test_a_branch_that_is_there_is_asked_by_a_pull_request(place):
    place.push()
    tip = place.git("rev-parse", "main", at=place.hub)
    said = place.setup("--store", S3)
    assert "next     merge https://github.com/octo/flights/pull/1, then pushforward check --github" in said
    assert place.git("rev-parse", "main", at=place.hub) == tip
    assert place.github.settings.opened[0]["head"] == "pushforward-setup"
    assert S3 in place.file(".dvc/config", "pushforward-setup")
    assert place.git("log", "-1", "--format=%an %ae", "pushforward-setup", at=place.hub) == "Ann ann@example.org"
    assert place.git("status", "--porcelain") == ""
    before = place.calls()
    place.setup()
    assert place.calls() == before, "until it is merged it counts as on its way"
    place.merge()
    place.setup()
    assert place.calls() == before


def test_what_was_squashed_counts_as_merged(place):
    place.push()
    place.setup("--store", S3)
    tree = place.git("rev-parse", "pushforward-setup^{tree}", at=place.hub)
    who = ("-c", "user.name=Ann", "-c", "user.email=ann@example.org")
    squashed = place.git(*who, "commit-tree", tree, "-p", "main", "-m", "Set up", at=place.hub)
    place.git("update-ref", "refs/heads/main", squashed, at=place.hub)
    said = place.setup("--store", "s3://another/dvc")
    assert place.git("rev-parse", "pushforward-setup^", at=place.hub) == squashed
    assert "merge https" in said


def test_a_secret_that_is_there_stays_but_for_a_rotation(place):
    place.setup("--store", S3)
    kept = dict(place.github.settings.secrets["judge"])
    place.setup()
    assert place.github.settings.secrets["judge"] == kept
    place.setup("--rotate")
    now = place.github.settings.secrets["judge"]
    assert now["PUSHFORWARD_SIGNING_KEY"] != kept["PUSHFORWARD_SIGNING_KEY"]
    assert now["PUSHFORWARD_SEAL"] == kept["PUSHFORWARD_SEAL"], "numbers that it has sealed are to be opened yet"
    known = ssh.read(place.file(".github/allowed_signers", "pushforward-setup"))
    mine = [one for one in known if one.principal == "pushforward@localhost"]
    assert [bool(one.valid_before) for one in mine] == [True, False], "what the one before has signed still counts"


def test_a_key_whose_public_half_is_nowhere_is_told(place):
    place.push()
    place.github.settings.environments["judge"] = {"protection_rules": []}
    place.github.settings.secrets["judge"] = {"PUSHFORWARD_SIGNING_KEY": {}}
    said = place.setup("--store", S3, "--dry-run", code=6)
    assert "missing  secret PUSHFORWARD_SIGNING_KEY: its public half counts nowhere" in said
    assert "next: pushforward setup github --rotate" in said


def test_what_people_have_set_up_stricter_stays(place):
    place.setup("--store", S3)
    settings = place.github.settings
    review = settings.rulesets[0]["rules"][2]["parameters"]
    review |= {"required_approving_review_count": 2, "allowed_merge_methods": ["squash"]}
    settings.rulesets[0]["rules"].append({"type": "required_signatures"})
    settings.rulesets[0]["rules"][3]["parameters"]["required_status_checks"].append({"context": "check"})
    before = place.calls()
    place.setup()
    assert place.calls() == before
    review["require_code_owner_review"] = False
    place.setup()
    now = settings.rulesets[0]["rules"][2]["parameters"]
    assert now["required_approving_review_count"] == 2
    assert now["require_code_owner_review"] is True
    assert now["allowed_merge_methods"] == ["squash"]
    assert {"type": "required_signatures"} in settings.rulesets[0]["rules"]


def test_an_environment_keeps_its_people_and_its_wait(place):
    place.github.settings.environments["production"] = {
        "protection_rules": [
            {"type": "wait_timer", "wait_timer": 30},
            {"type": "required_reviewers", "reviewers": [{"type": "User", "reviewer": {"id": 5}}]},
        ],
        "deployment_branch_policy": None,
    }
    place.setup("--store", S3, "--reviewer", "octo/releasers")
    (call,) = (one for one in place.calls() if one.path.endswith("/environments/production"))
    assert call.body == {
        "wait_timer": 30,
        "prevent_self_review": True,
        "reviewers": [{"type": "User", "id": 5}, {"type": "Team", "id": 1234}],
        "deployment_branch_policy": {"protected_branches": False, "custom_branch_policies": True},
    }


def test_who_releases_is_named_once_and_added_to(place):
    place.setup("--store", S3)
    (admins,) = place.github.settings.rulesets[2]["bypass_actors"]
    assert admins["actor_type"] == "RepositoryRole"
    place.setup("--reviewer", "octo/releasers")
    team = {"actor_id": 1234, "actor_type": "Team", "bypass_mode": "always"}
    assert place.github.settings.rulesets[2]["bypass_actors"] == [team], "no administrator by the way"
    place.github.settings.rulesets[2]["bypass_actors"].append(other := {**team, "actor_id": 5678})
    before = place.calls()
    place.setup()
    place.setup("--reviewer", "octo/releasers")
    assert place.calls() == before
    assert place.github.settings.rulesets[2]["bypass_actors"] == [team, other]


def test_another_way_to_the_secrets_is_told(place):
    place.setup("--store", S3)
    place.github.settings.policies["judge"].append({"id": 77, "name": "release/*", "type": "branch"})
    place.github.settings.secrets[""] = {"PUSHFORWARD_SEAL": {}}
    said = place.setup(code=6)
    assert "later    environment judge, branch release/*: its workflows reach the secrets too" in said
    assert "gh api --method DELETE repos/octo/flights/environments/judge/deployment-branch-policies/77" in said
    assert "missing  secret PUSHFORWARD_SEAL of the whole repository: any workflow of any branch reads it" in said


# by what the plan allows: what is set up, and what is told as lost
ALLOWED = [
    (False, "free", True, True, True),
    (True, "free", False, False, False),
    (True, "pro", True, False, True),
    (True, "team", True, False, True),
    (True, "enterprise", True, True, True),
]


@pytest.mark.parametrize(("private", "plan", "environments", "reviewers", "rulesets"), ALLOWED)
def test_each_plan_gets_what_it_can_have_and_is_told_the_rest(place, private, plan, environments, reviewers, rulesets):
    settings = place.github.settings
    settings.private, settings.plan = private, plan
    said = place.setup("--store", S3, "--reviewer", "bea")
    assert set(settings.environments) == ({"judge", "production"} if environments else set())
    assert set(settings.secrets.get("judge" if environments else "", {})) == SECRETS
    assert bool(settings.rulesets) == rulesets
    assert ("lost: people who are asked" in said) != reviewers
    assert ("lost: rulesets" in said) != rulesets
    assert ("a job with `environment: judge` runs with no rule" in said) != environments
    asks = [rule["type"] for rule in settings.environments.get("production", {}).get("protection_rules", [])]
    assert asks == (["required_reviewers"] if reviewers else [])
    assert place.setup("--reviewer", "bea").count("to do") == 0


def test_a_plan_that_github_does_not_tell_is_asked_for(place):
    place.github.settings.private, place.github.settings.tell_plan = True, False
    said = place.setup(code=2)
    assert "GitHub does not say to this login on which plan octo is" in said
    assert "next: pushforward setup github --plan free or pro or team or enterprise" in said
    assert "is no plan of GitHub" in place.setup("--plan", "gold", code=2)
    place.setup("--plan", "team", "--store", S3)


def test_somebody_alone_asks_nobody_for_an_approval(place):
    place.github.settings.writers = 1
    said = place.setup("--store", S3)
    assert "lost: an approval: nobody else may write here who could give one" in said
    assert place.github.settings.rulesets[0]["rules"][2]["parameters"]["required_approving_review_count"] == 0
    place.github.settings.writers = 2
    place.setup()
    assert place.github.settings.rulesets[0]["rules"][2]["parameters"]["required_approving_review_count"] == 1


def test_a_store_that_no_runner_reaches_is_told(place):
    said = place.setup(code=6)
    assert "missing  file .dvc/config: the DVC remote is a folder beside the clone (../../store), which no" in said
    assert "next: pushforward setup github --store s3://BUCKET/PATH, then dvc push" in said


LOGIN = ".github/actions/store-login/action.yml"


def test_roles_of_aws_are_variables_and_the_files_take_them(place):
    place.push()
    place.setup("--store", S3, *ROLES)
    names = {"PUSHFORWARD_AWS_ROLE": WRITER, "PUSHFORWARD_AWS_READER_ROLE": READER}
    assert place.github.settings.variables == names
    for name, jobs in {"train": 1, "judge": 3, "release": 1, "verify": 1}.items():
        text = place.file(f".github/workflows/{name}.yml", "pushforward-setup")
        assert text.count("uses: ./.github/actions/store-login") == text.count("id-token: write") == jobs, name
        assert "arn:aws" not in text, "the same file in every repository"
    assert "login.py" in place.file(LOGIN, "pushforward-setup")
    before = place.calls()
    said = place.setup()
    assert place.calls() == before, "until it is merged, too, the files are remembered to log in"
    assert f"ok       variable PUSHFORWARD_AWS_ROLE: as it should be: {WRITER}" in said
    place.merge()
    place.setup("--aws-role", f"{WRITER}-2")
    (call,) = place.calls()[len(before) :]
    assert (call.method, call.path.rpartition("/flights/")[2]) == ("PATCH", "actions/variables/PUSHFORWARD_AWS_ROLE")
    assert place.github.settings.variables == names | {"PUSHFORWARD_AWS_ROLE": f"{WRITER}-2"}


def test_a_copy_of_a_workflow_that_people_edited_is_theirs(place):
    train = place.clone / ".github" / "workflows" / "train.yml"
    train.write_text(train.read_text().replace("timeout-minutes: 60", "timeout-minutes: 50"))
    place.git("commit", "-qam", "Train for less")
    place.push()
    said = place.setup("--store", S3, *ROLES)
    assert "later    workflow files: .github/workflows/train.yml: copies of yours, which may lack the login" in said
    assert "timeout-minutes: 50" in place.file(".github/workflows/train.yml", "pushforward-setup")
    assert "store-login" not in place.file(".github/workflows/train.yml", "pushforward-setup")
    assert "store-login" in place.file(".github/workflows/judge.yml", "pushforward-setup")


def test_without_a_reader_a_pull_request_is_given_no_role(place):
    said = place.setup("--store", S3, "--aws-role", WRITER)
    assert place.github.settings.variables == {"PUSHFORWARD_AWS_ROLE": WRITER}
    assert (
        "later    variable PUSHFORWARD_AWS_READER_ROLE: is not there\n         lost: a store that is not public" in said
    )
    assert "  next: pushforward setup github --aws-reader-role ARN" in said
    train = place.file(".github/workflows/train.yml")
    assert "event_name == 'push' && vars.PUSHFORWARD_AWS_ROLE || vars.PUSHFORWARD_AWS_READER_ROLE }}" in train


def test_a_store_at_s3_that_no_run_logs_in_to_is_told(place):
    said = place.setup("--store", S3)
    assert "later    login to the store: no run has one" in said
    assert place.github.settings.variables == {}
    assert place.git("ls-tree", "main", LOGIN, at=place.hub) == ""
    assert "later    login to the store: no run has one" in looked_at_s3(place)
    place.setup(*ROLES)
    place.merge()
    assert "login to the store" not in place.setup()
    del place.github.settings.variables["PUSHFORWARD_AWS_ROLE"]
    assert "later    variable PUSHFORWARD_AWS_ROLE: is not there; lost: what trains" in looked_at_s3(place)


def looked_at_s3(place):
    """What `check` says; the store itself is reached from nowhere."""
    result = CliRunner().invoke(main, ["check", "--github"])
    assert result.exit_code == 6, result.output
    return result.output


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (("--store", S3, "--aws-role", "writer"), "--aws-role writer: no role of AWS"),
        (("--store", S3, "--aws-reader-role", f"{READER}\n"), "no role of AWS"),
        (("--store", S3, "--aws-role", WRITER.replace(":role/", ":user/")), "no role of AWS"),
        (("--store", "gs://bucket/dvc", *ROLES), "is for a store at S3, and the DVC remote is gs://bucket/dvc"),
        (ROLES, "is for a store at S3, and the DVC remote is /"),
    ],
)
def test_a_role_that_is_none_changes_nothing(place, asked, words):
    assert words in place.setup(*asked, code=2)
    assert place.calls() == []


def test_a_role_of_aws_is_not_for_another_forge():
    result = CliRunner().invoke(main, ["setup", "gitlab", *ROLES])
    assert result.exit_code == 2
    assert "--aws-role, --aws-reader-role and --pages go with github alone" in result.output


SITE = "https://octo.example.org/flights"


def test_pages_are_published_where_github_says(place):
    said = place.setup("--store", S3, "--pages", "public", "--dry-run")
    assert "POST     repos/octo/flights/pages: has the pages published by the workflow pages" in said
    assert '{"name": "PUSHFORWARD_PAGES", "value": "https://octo.github.io/flights"}' in said, "what is to be expected"
    assert place.calls() == []
    said = place.setup("--store", S3, "--pages", "public")
    assert place.github.settings.site["build_type"] == "workflow"
    assert place.github.settings.variables == {"PUSHFORWARD_PAGES": SITE}, "what GitHub has answered"
    assert "the site is anybody's to read" not in said, "as the repository is"
    before = place.calls()
    assert f"ok       site by Pages: as it should be: {SITE}" in place.setup("--pages", "public")
    place.setup()
    assert place.calls() == before
    place.github.settings.variables["PUSHFORWARD_PAGES"] = "https://octo.github.io/old"
    assert "missing  variable PUSHFORWARD_PAGES: is https://octo.github.io/old" in looked_at_s3(place)
    place.setup()
    assert place.github.settings.variables == {"PUSHFORWARD_PAGES": SITE}


def test_nobody_gets_a_site_who_does_not_ask_for_one(place):
    said = place.setup("--store", S3)
    assert "Pages" not in said
    assert place.github.settings.site is None
    assert "'private' is not 'public'" in place.setup("--pages", "private", code=2)


def test_a_variable_makes_no_site(place):
    place.github.settings.variables["PUSHFORWARD_PAGES"] = SITE
    said = place.setup("--store", S3)
    assert f"later    site by Pages: is not there, and PUSHFORWARD_PAGES is {SITE}" in said
    assert place.github.settings.site is None
    place.setup("--pages", "public")
    assert place.github.settings.site


@pytest.mark.parametrize(
    ("plan", "has", "words"),
    [
        ("free", False, "lost: a site by GitHub Pages: `pushforward web --export site` makes the pages"),
        ("team", True, "lost: the site is anybody's to read, though the repository is private"),
        ("enterprise", True, "lost: the site is anybody's to read, though the repository is private"),
    ],
)
def test_what_a_site_of_a_private_repository_means_is_told(place, plan, has, words):
    settings = place.github.settings
    settings.private, settings.plan = True, plan
    assert words in place.setup("--store", S3, "--pages", "public")
    assert bool(settings.site) == has
    if settings.site:
        assert words in place.setup()
        settings.site["public"] = False
        assert words not in place.setup()


def test_another_site_stays(place):
    place.github.settings.site = {"build_type": "legacy", "html_url": f"{SITE}/"}
    said = place.setup("--store", S3, "--pages", "public")
    assert "later    site by Pages: another site is there, made of a branch" in said
    assert "gh api --method PUT repos/octo/flights/pages -f build_type=workflow" in said
    assert place.github.settings.variables == {}


def test_a_site_that_nobody_says_the_place_of_is_told_and_found_later(place):
    place.github.fail("POST", "pages$", Fault(201, "{}"))
    said = place.setup("--store", S3, "--pages", "public", code=6)
    assert "GitHub made a site and does not say where" in said
    assert place.github.settings.variables == {}
    place.setup("--store", S3, "--pages", "public")
    assert place.github.settings.variables == {"PUSHFORWARD_PAGES": SITE}


def test_json_says_the_same(place):
    told = documents.check("setup", place.setup("--store", S3, "--dry-run", "--json"))
    judge = next(step for step in told["steps"] if step["name"] == "environment judge")
    assert judge["acts"][0]["method"] == "PUT"
    assert told["dry_run"] is True
    assert place.calls() == []


def test_who_may_not_is_told_before_anything(place):
    place.github.settings.admin = False
    said = place.setup(code=6)
    assert "ann is no administrator of https://github.com/octo/flights" in said
    assert place.calls() == []


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (SERVER_ERROR, "GitHub answers 500 to POST repos/octo/flights/rulesets: Server Error"),
        (READ_ONLY, "GitHub answers 403 to POST repos/octo/flights/rulesets: Resource not accessible by integration"),
        (HALF, "no whole answer of GitHub to POST repos/octo/flights/rulesets"),
        (refusal(403, "secondary rate limit", retry_after="600"), "GitHub takes no more calls for now"),
    ],
    ids=["500", "403", "half", "limit"],
)
def test_what_breaks_in_the_middle_goes_on_where_it_was(place, fault, words):
    place.github.fail("POST", "rulesets", fault)
    said = place.setup("--store", S3, code=6)
    assert words in said
    kept = dict(place.github.settings.secrets["judge"])
    place.setup()
    assert len(place.github.settings.rulesets) == 3
    assert place.github.settings.secrets["judge"] == kept


def test_a_token_alone_needs_what_seals(place, monkeypatch):
    monkeypatch.setitem(sys.modules, "nacl.public", None)
    said = place.setup("--store", S3, code=6)
    assert "a token alone needs PyNaCl" in said
    assert "next: gh auth login, or install pushforward[github]" in said


def test_nobody_logged_in_is_told(place, monkeypatch):
    monkeypatch.delenv("GH_TOKEN")
    said = place.setup(code=6)
    assert "nobody is logged in to github.com" in said
    assert "next: gh auth login --hostname github.com" in said


@pytest.mark.parametrize("address", ["/srv/toy.git", "https://example.org/x", "git@github.com:octo"])
def test_a_remote_that_is_no_repository_of_github_is_told(place, address):
    place.git("remote", "set-url", "origin", address)
    assert "which is no repository of GitHub" in place.setup(code=2)


def test_a_person_who_is_not_there_is_told(place):
    said = place.setup("--reviewer", "nobody", code=6)
    assert "there is no user nobody for this login to see" in said
    assert place.calls() == []


def looked_at(place, *args, code):
    result = CliRunner().invoke(main, ["check", "--github", *args])
    assert result.exit_code == code, result.output
    return result.output


def test_a_check_tells_the_store_first_and_what_is_right(place):
    store = place.folder / "dvc"
    store.mkdir()
    place.setup("--store", str(store), "--reviewer", "bea")
    before = place.calls()
    lines = looked_at(place, code=0).splitlines()
    assert lines[0] == f"ok       store: {store}, written and read from here"
    assert lines[1].startswith(f"ok       file .dvc/config: as it should be: {store}; lost: {store} is a folder: only")
    assert all(line.startswith("ok ") for line in lines)
    assert place.calls() == before


def test_a_check_of_what_was_never_set_up_names_the_command(place):
    place.push()
    lines = looked_at(place, code=6).splitlines()
    assert lines[0].startswith("missing  file .dvc/config: the DVC remote is a folder beside the clone (../../store)")
    assert lines[1] == "  next: pushforward setup github --store s3://BUCKET/PATH, then dvc push"
    assert "missing  secret PUSHFORWARD_SIGNING_KEY: is not in the environment judge" in lines
    assert lines.count("  next: pushforward setup github") > 5
    assert place.calls() == []


def test_a_check_tells_a_store_that_is_not_there(place):
    place.setup("--store", str(place.folder / "dvc"), "--reviewer", "bea")
    lines = looked_at(place, code=6).splitlines()
    assert lines[0].startswith("missing  store: the DVC remote ")
    assert lines[0].endswith("dvc does not exist")


def test_a_check_tells_what_the_plan_does_not_allow_as_what_can_wait(place):
    store = place.folder / "dvc"
    store.mkdir()
    place.github.settings.private, place.github.settings.plan = True, "free"
    place.setup("--store", str(store))
    said = looked_at(place, code=0)
    assert "later    environment judge: not for a repository that is private on Free; lost: environments" in said
    told = documents.check("check", looked_at(place, "--json", code=0))
    assert told[0]["name"] == "store"
    assert {one["name"] for one in told if not one["ok"]} == {
        "environment judge",
        "reviewers of production",
        "code owners",
        "rulesets",
    }


def test_a_check_of_github_takes_no_option_of_a_server(place):
    assert "--github goes with no other" in looked_at(place, "--quick", code=2)
