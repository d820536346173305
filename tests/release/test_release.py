"""What people do with versions: real tags, real keys, a server with its policy; and what it refuses."""

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from click.testing import CliRunner
from tests import forge_double
from tests.documents import check
from tests.team import CI

from pushforward.commands.cli import main
from pushforward.errors import POLICY, TOOL, USAGE, PushforwardError
from pushforward.git.refs import TRUST
from pushforward.git.repository import Repository
from pushforward.git.server import Server
from pushforward.registry import signers, trust
from pushforward.registry import tags as registry
from pushforward.registry import transaction as tagging
from pushforward.release.release import deprecate, empty, release, rollback
from pushforward.release.verify import verify
from pushforward.views import show

pytestmark = pytest.mark.whole

GUIDE = Path(__file__).parent.parent.parent / "docs" / "github.md"


@pytest.fixture(scope="module")
def registered(released, tmp_path_factory):
    """A hub with v1.0.0 and v1.1.0, and nothing in production; made once, to be copied."""
    made = type(released)(tmp_path_factory.mktemp("registered"), released.git)
    for model in ("one", "two"):
        made.commit(model)
        made.promote(model)
    return made


@pytest.fixture
def two(registered, tmp_path, git):
    """A hub with v1.0.0 and v1.1.0, and nothing in production."""
    return type(registered)(tmp_path, git, registered)


def refs(hub):
    return hub.git(hub.bare, "for-each-ref")


def in_production(hub):
    held = hub.known().in_use("production")
    return str(held.version) if held else None


def refused(hub, words, call, *args, next="", code=USAGE, **kwargs):  # noqa: A002
    """The call is refused in such words, and neither server nor clone has a tag more than before."""
    before = refs(hub)
    tagging.look(Repository(hub.clone), "origin", "toy")
    here = hub.git(hub.clone, "tag")
    with pytest.raises(PushforwardError) as error:
        call(hub.clone, *args, **kwargs)
    said = error.value.message
    assert words in said
    assert next in error.value.next
    assert error.value.next
    assert error.value.exit_code == code
    assert refs(hub) == before
    assert hub.git(hub.clone, "tag") == here


@pytest.mark.parametrize("name", ["v1.0.0", "1.0.0", "toy@v1.0.0"])
def test_a_release_is_a_tag_signed_by_the_person(two, git, name):
    made = release(two.clone, name, "Asked for by the airports")
    assert (made.tag, made.version, made.previous) == ("toy#production#1", "toy@v1.0.0", None)
    assert two.record("toy#production#1") == {
        "schema": 2,
        "version": "toy@v1.0.0",
        "previous": None,
        "reason": "Asked for by the airports",
        "by": "Ann <ann@example.org>",
    }
    signers = two.bare / "pushforward" / "allowed_signers"
    said = git(two.bare, "-c", f"gpg.ssh.allowedSignersFile={signers}", "tag", "-v", made.tag, check=False)
    assert 'Good "git" signature for ann@example.org' in said
    assert "tagger Ann <ann@example.org>" in said
    assert made.commit == git(two.bare, "rev-parse", "toy#production#1^{commit}")


def test_a_release_counts_on_and_says_what_was_there_before(two):
    release(two.clone, "v1.0.0")
    made = release(two.clone, "v1.1.0")
    assert (made.tag, made.previous) == ("toy#production#2", "toy@v1.0.0")
    assert release(two.clone, "v1.0.0", "Calm", environment="staging", older=True).tag == "toy#staging#3"
    assert two.known().problems == ()


def test_a_release_over_a_newer_version_is_refused_with_the_way_back(three):
    words = "production holds toy@v1.2.0, and toy@v1.0.0 is older"
    back = 'pushforward rollback production --to v1.0.0 -m "why"'
    refused(three, words, release, "v1.0.0", "a reason alone is no consent", next=back, code=POLICY)
    refused(three, words, release, "1.0.0", next=back, code=POLICY)
    refused(three, words, release, "toy@v1.0.0", next=back, code=POLICY)
    refused(three, "needs a reason", release, "v1.0.0", next="--older -m", older=True)
    made = release(three.clone, "v1.0.0", "The airports ask for it", older=True)
    assert three.record(made.tag) == {
        "schema": 2,
        "version": "toy@v1.0.0",
        "previous": "toy@v1.2.0",
        "reason": "The airports ask for it",
        "by": "Ann <ann@example.org>",
        "older": True,
    }
    release(three.clone, "v1.1.0")
    assert in_production(three) == "v1.1.0", "up again needs no word"
    assert "older" not in three.record("toy#production#5")


def test_where_an_environment_never_held_the_older_version_another_way_is_named(two):
    release(two.clone, "v1.1.0")
    words = "production holds toy@v1.1.0, and toy@v1.0.0 is older"
    back = 'pushforward release v1.0.0 --to production --older -m "why"'
    refused(two, words, release, "v1.0.0", next=back, code=POLICY)
    refused(two, "production never held toy@v1.0.0", rollback, "why", to="v1.0.0", next=back)


def test_an_environment_that_holds_nothing_takes_any_version(two):
    assert release(two.clone, "v1.0.0").tag == "toy#production#1"
    assert "older" not in two.record("toy#production#1")


def test_a_rollback_says_that_it_goes_back(three):
    assert three.record(rollback(three.clone, "Wrong for EWR").tag)["older"] is True
    forward = rollback(three.clone, "It was right", to="v1.2.0")
    assert "older" not in three.record(forward.tag)


def test_a_model_that_returns_by_itself_says_that_it_goes_back(two):
    two.commit("one", "Go back")
    two.promote("one")
    assert two.known().in_use("staging").name == "toy@v1.0.0"
    assert two.record("toy#staging#3")["older"] is True


def test_a_hand_made_tag_without_a_word_is_told_of_where_no_server_refuses_it(three, git):
    (three.bare / "hooks" / "pre-receive").unlink()
    git(three.clone, "fetch", "-q", "--tags", "origin")
    git(three.clone, "tag", "-s", "-m", "because", "toy#production#4", "toy@v1.0.0^{}")
    git(three.clone, "push", "-q", "origin", "toy#production#4")
    known = three.known()
    records = {use.tag: three.record(use.name) for use in known.assignments}
    told = list(registry.inconsistent(known, records))
    assert told == ["toy#production#4 goes back to toy@v1.0.0 from toy@v1.2.0 and does not say why"]


@pytest.mark.parametrize("server", [True, False])
def test_a_clone_of_what_was_empty_then_signs_by_the_settings_of_the_default_branch(two, git, server):
    if server:
        Server(str(two.bare), sys.executable, str(two.store), "s", "toy").save()
    early = two.folder / "early"
    git(two.folder, "init", "-q", "-b", "main", str(early))
    git(early, "remote", "add", "origin", str(two.bare))
    two.person(early, "ann@example.org")
    release(early, "v1.0.0")
    release(early, "v1.1.0")
    assert rollback(early, "it was better").version == "toy@v1.0.0"
    assert in_production(two) == "v1.0.0"
    assert empty(early, "nobody needs it").previous == "toy@v1.0.0"
    assert Repository(early).resolve("HEAD") is None


def test_the_server_is_asked_under_the_name_that_init_gives_it(two, git):
    git(two.clone, "remote", "rename", "origin", "local")
    git(two.clone, "remote", "add", "origin", "/nowhere")
    assert release(two.clone, "v1.0.0").remote == "local"


def test_an_agents_key_signs_too(two, git):
    words = git(two.folder, "config", "-f", "/dev/null", "--list", check=False)  # an agent of our own, for this test
    agent = subprocess.run(["ssh-agent", "-s"], capture_output=True, text=True, check=True).stdout
    found = dict(part.split("=", 1) for part in agent.replace(";", "\n").split("\n") if "=" in part)
    try:
        os.environ["SSH_AUTH_SOCK"] = found["SSH_AUTH_SOCK"]
        subprocess.run(["ssh-add", "-q", str(two.keys["ann@example.org"])], check=True)
        public = (two.folder / "keys" / "ann@example.org.pub").read_text().strip()
        two.keys["ann@example.org"].unlink()
        git(two.clone, "config", "user.signingkey", f"key::{public}")
        assert release(two.clone, "v1.0.0").tag == "toy#production#1"
    finally:
        os.environ.pop("SSH_AUTH_SOCK", None)
        subprocess.run(["kill", found["SSH_AGENT_PID"]], check=True)
    assert words == ""


@pytest.mark.parametrize(
    ("version", "words"),
    [
        ("v1.1.1", "toy has no version v1.1.1; did you mean v1.1.0?"),
        ("newest", "toy has no version newest; the newest is v1.1.0"),
        ("v1.1.0\x1b[2J", "toy has no version v1.1.0;"),
    ],
)
def test_a_version_that_is_not_there_is_refused(two, version, words):
    refused(two, words, release, version, next="pushforward show")
    refused(two, words, deprecate, version, "why", next="pushforward show")


def test_what_is_in_use_already_is_refused(two):
    release(two.clone, "v1.0.0")
    words = "production holds toy@v1.0.0 already (toy#production#1)"
    refused(two, words, release, "v1.0.0")
    refused(two, words, rollback, "why", to="v1.0.0")


def test_an_environment_that_is_not_there_is_refused(two):
    refused(two, 'there is no environment "prodction"; did you mean production?', release, "1", environment="prodction")
    refused(two, 'no environment "x"; there are production, staging', release, "1", environment="x")


def test_a_deprecated_version_is_refused_with_its_reason(two):
    deprecate(two.clone, "v1.0.0", "It knew the future")
    words = "toy@v1.0.0 is deprecated: It knew the future"
    refused(two, words, release, "v1.0.0", next="pushforward release v1.1.0 --to production", code=POLICY)


def test_without_a_signing_key_nothing_is_released(two, git):
    git(two.clone, "config", "--unset", "user.signingkey")
    refused(two, "git does not know which ssh key you sign with", release, "v1.0.0", next="git config")


def test_a_key_that_stays_locked_is_said_and_leaves_no_tag(two, git, tmp_path):
    locked = tmp_path / "locked"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "a passphrase", "-f", str(locked)], check=True)
    git(two.clone, "config", "user.signingkey", f"{locked}.pub")
    words = "git could not make the signed tag toy#production#1: Load key"
    refused(two, words, release, "v1.0.0", next="ssh-add KEY, then this again", code=TOOL)


@pytest.mark.parametrize(
    ("program", "why"), [("no-such-program", "cannot run no-such-program: No such file"), ("false", "what it has sign")]
)
def test_what_signs_for_git_and_does_not_is_said(two, git, program, why):
    git(two.clone, "config", "gpg.ssh.program", program)
    words = f"git could not make the signed tag toy#production#1: {why}"
    refused(two, words, release, "v1.0.0", next="git tag -s try HEAD", code=TOOL)


def test_the_persons_own_hook_that_lets_nothing_go_is_named(two, git):
    hook = two.clone / ".git" / "hooks" / "pre-push"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\necho 'git-lfs not found' >&2\nexit 2\n")
    hook.chmod(0o755)
    words = "your own pre-push hook let nothing go to origin: git-lfs not found"
    refused(two, words, release, "v1.0.0", next=f"mend {hook}", code=TOOL)


def test_the_service_signs_with_its_own_key_whatever_program_signs_for_the_person(two, git):
    git(two.clone, "config", "gpg.ssh.program", "false")
    two.commit("c")
    two.promote("c")
    assert two.known().named("v1.2.0").name == "toy@v1.2.0"


def test_without_a_name_nothing_is_released(two, git):
    git(two.clone, "config", "user.email", "")
    refused(two, "git does not know who you are", release, "v1.0.0", next="git config")


def test_a_key_that_nobody_trusts_is_refused_before_anything_is_pushed(two):
    two.keys["bob@example.org"] = two._key("bob@example.org")
    two.person(two.clone, "bob@example.org")
    words = "toy#production#1: nobody trusts its key SHA256:"
    refused(two, words, release, "v1.0.0", next="pushforward trust KEY.pub --as bob@example.org", code=POLICY)


def test_a_key_for_another_environment_is_refused_before_anything_is_pushed(two):
    two.trust("bob@example.org", "staging")
    two.person(two.clone, "bob@example.org")
    words = "the key of bob@example.org may sign staging, and not toy#production#1"
    refused(two, words, release, "v1.0.0", next="pushforward trust", code=POLICY)
    assert release(two.clone, "v1.0.0", "Calm", environment="staging", older=True).tag == "toy#staging#3"


def test_a_version_that_the_server_did_not_sign_is_refused(two, git):
    commit = git(two.clone, "rev-parse", "HEAD^{commit}")
    text = registry.message("toy@v9.0.0", {"schema": 2, "model": "x"})
    git(two.clone, "tag", "-s", "-m", text, "toy@v9.0.0", commit)
    # past the policy, as somebody with the server's files could do it
    git(two.clone, "push", "-q", "--receive-pack=git -c core.hooksPath=/dev/null receive-pack", "origin", "toy@v9.0.0")
    words = "toy@v9.0.0 is signed by ann@example.org, who may not make versions"
    refused(two, words, release, "v9.0.0", next="pushforward trust", code=POLICY)


def test_a_version_whose_record_says_what_no_promotion_writes_is_not_put_to_use(two, git):
    """Signed by the server's own key: the record is read as strictly as `verify` reads it."""
    text = git(two.bare, "cat-file", "tag", "toy@v1.0.0").partition("\n\n")[2].partition("-----BEGIN")[0]
    message = registry.message(text.splitlines()[0], registry.record(text) | {"model": None})
    who = {"GIT_COMMITTER_NAME": "pushforward", "GIT_COMMITTER_EMAIL": CI}
    options = ("-c", "gpg.format=ssh", "-c", f"user.signingkey={two.keys[CI]}", "tag", "-s", "-f", "-F", "-")
    Repository(two.bare).git(*options, "toy@v1.0.0", "toy@v1.0.0^{}", stdin=message.encode(), env=who)
    refused(two, "the record in toy@v1.0.0 has another form: model: ", release, "v1.0.0", next="verify", code=POLICY)


def spoil(hub, model):
    """Other bytes in the store under the name of a model's file."""
    found = [path for path in hub.store.rglob("*") if path.is_file() and path.read_bytes() == model.encode()]
    for path in found:
        path.write_bytes(b"spoiled")
    assert found


def test_a_version_whose_model_is_spoiled_in_the_store_is_refused(two):
    spoil(two, "one")
    words = "the model of toy@v1.0.0 is not whole in the DVC remote"
    refused(two, words, release, "v1.0.0", next="pushforward verify v1.0.0", code=TOOL)


def test_a_colleagues_clone_finds_the_store_of_the_server(two, git):
    """Their .dvc/config says ../../store, and from there that is another place."""
    (two.folder / "far" / "away").mkdir(parents=True)
    other = two.another("far/away/clone")
    spoil(two, "one")
    with pytest.raises(PushforwardError, match=r"the model of toy@v1\.0\.0 is not whole"):
        release(other, "v1.0.0")
    assert release(other, "v1.1.0").tag == "toy#production#1"


def test_a_store_that_only_a_server_elsewhere_can_see_stops_nobody(two, git):
    (two.bare / "pushforward" / "server.json").unlink()  # as for a server behind ssh, whose files are not read
    spoil(two, "one")
    two.store.rename(two.folder / "elsewhere")
    hook = two.bare / "hooks" / "pre-receive"
    hook.unlink()
    assert release(two.clone, "v1.0.0").tag == "toy#production#1"


def test_a_refusal_by_the_server_is_told_in_its_own_words(two):
    hook = two.bare / "hooks" / "pre-receive"
    hook.write_text("#!/bin/sh\necho 'pushforward: not on a Friday\n  next: wait for Monday' >&2\nexit 1\n")
    refused(two, "not on a Friday", release, "v1.0.0", next="wait for Monday", code=POLICY)


def test_a_server_that_cannot_be_reached_is_told(two, git):
    (two.bare / "HEAD").write_text("spoiled\n")
    with pytest.raises(PushforwardError, match="origin cannot be reached: fatal:") as error:
        release(two.clone, "v1.0.0")
    assert (error.value.next, error.value.exit_code) == ("git ls-remote origin", TOOL)


def test_a_server_that_goes_back_to_an_older_registry_is_not_believed(three, git):
    tagging.look(Repository(three.clone), "origin", "toy")
    git(three.bare, "update-ref", "refs/pushforward/registry", "refs/pushforward/registry^")
    words = "the registry of 'origin' went back to something older"
    with pytest.raises(PushforwardError, match=words) as error:
        rollback(three.clone, "why")
    assert error.value.exit_code == POLICY
    assert len(hub_tags(three, git)) == 3


def test_a_clone_without_a_server_is_told_what_to_do(two, git):
    git(two.clone, "remote", "remove", "origin")
    with pytest.raises(PushforwardError, match="no git remote 'local' or 'origin'") as error:
        release(two.clone, "v1.0.0")
    assert error.value.next == "pushforward init"


@pytest.mark.parametrize("reason", ["", "  \n", "a" * 301, "bell\x07"])
def test_a_reason_is_one_readable_line(three, reason):
    before = refs(three)
    with pytest.raises(PushforwardError, match="reason"):
        rollback(three.clone, reason)
    assert refs(three) == before


def test_a_reason_of_several_lines_becomes_one(three):
    rollback(three.clone, ' Wrong\n{"schema": 2} for\tEWR ')
    assert three.record("toy#production#4")["reason"] == 'Wrong {"schema": 2} for EWR'


@pytest.mark.ml_test_score("Infra 7")
def test_a_rollback_goes_back_one_version_and_the_next_one_goes_further(three):
    made = rollback(three.clone, "Wrong for EWR")
    assert (made.tag, made.version, made.previous) == ("toy#production#4", "toy@v1.1.0", "toy@v1.2.0")
    assert three.record(made.tag)["reason"] == "Wrong for EWR"
    assert rollback(three.clone, "Still wrong").version == "toy@v1.0.0"
    words = "production held no version before toy@v1.0.0 that is not deprecated"
    refused(three, words, rollback, "And again", next="pushforward rollback production --empty -m REASON")


def test_a_rollback_may_name_its_version_and_its_environment(three):
    assert rollback(three.clone, "Back to the start", to="1.0.0").version == "toy@v1.0.0"
    made = rollback(three.clone, "Calm", environment="staging")
    assert (made.environment, made.version) == ("staging", "toy@v1.1.0")


def test_there_is_no_way_back_to_what_was_never_there(two):
    release(two.clone, "v1.0.0")
    words = "production never held toy@v1.1.0, so there is no way back to it"
    refused(two, words, rollback, "why", to="v1.1.0", next="pushforward release v1.1.0 --to production")


@pytest.mark.parametrize("call", [rollback, empty])
def test_where_another_version_is_in_use_than_was_looked_at_nothing_is_taken_out(three, call):
    words = "production has moved on to toy@v1.2.0 meanwhile; nothing was done"
    refused(three, words, call, "It is worse", present="toy@v1.1.0", next="pushforward show", code=POLICY)
    made = call(three.clone, "It is worse", present="toy@v1.2.0")
    assert in_production(three) == ("v1.1.0" if call is rollback else None), made


def test_a_rollback_passes_over_what_is_deprecated(three):
    deprecate(three.clone, "v1.1.0", "It knew the future")
    assert rollback(three.clone, "Wrong for EWR").version == "toy@v1.0.0"


def test_there_is_nothing_to_roll_back_to_at_the_start(two):
    refused(two, "production holds no version to go back from", rollback, "why")
    release(two.clone, "v1.0.0")
    refused(two, "production held no version before toy@v1.0.0", rollback, "why")


@pytest.mark.ml_test_score("Infra 7")
def test_a_rollback_needs_neither_network_nor_the_newest_model(three, git):
    """The newest model's file is spoiled in the store and gone from the clone, and a network there is none."""
    spoil(three, "three")
    shutil.rmtree(three.clone / "model", ignore_errors=True)
    (three.clone / "dvc.lock").write_text("<<<<<<< spoiled")
    command = [sys.executable, "-m", "pushforward", "rollback", "-m", "It crashes on load"]
    if (
        subprocess.run(["unshare", "--map-root-user", "--net", "true"], check=False, capture_output=True).returncode
        == 0
    ):
        command = ["unshare", "--map-root-user", "--net", *command]
    started = time.monotonic()
    done = subprocess.run(command, cwd=three.clone, capture_output=True, text=True, check=False)
    print(f"rollback: {time.monotonic() - started:.2f} s")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "production: toy@v1.1.0 from now on (toy#production#4, before: toy@v1.2.0)\n"
    assert in_production(three) == "v1.1.0"


def test_a_rollback_loads_nothing_that_trains_or_scores(three):
    code = (
        "import sys; from pathlib import Path; from pushforward.release.release import rollback\n"
        "rollback(Path.cwd(), 'Why not')\n"
        "print(sorted({'dvc', 'xgboost', 'polars', 'scipy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=three.clone, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_a_version_is_deprecated_by_a_signed_tag(two, git):
    made = deprecate(two.clone, "v1.0.0", "It knew the future")
    assert (made.tag, made.environment) == ("toy@v1.0.0!", "")
    told = {"schema": 2, "version": "toy@v1.0.0", "reason": "It knew the future", "by": "Ann <ann@example.org>"}
    assert two.record("toy@v1.0.0!") == told
    assert git(two.bare, "rev-parse", "toy@v1.0.0!^{commit}") == git(two.bare, "rev-parse", "toy@v1.0.0^{commit}")
    assert two.known().problems == ()
    refused(two, "toy@v1.0.0 is deprecated already", deprecate, "v1.0.0", "again")


def test_a_version_in_use_is_not_deprecated(two):
    words = "toy@v1.1.0 is in use in staging"
    refused(two, words, deprecate, "v1.1.0", "why", next="pushforward rollback staging", code=POLICY)


def test_an_environment_whose_only_version_is_bad_is_emptied_and_that_deprecated(two):
    """By the commands that the refusals name."""
    release(two.clone, "v1.0.0")
    next_one = "pushforward rollback production --empty -m REASON, then this again"
    refused(two, "toy@v1.0.0 is in use in production", deprecate, "v1.0.0", "why", next=next_one, code=POLICY)
    made = empty(two.clone, "It knew the future")
    assert (made.tag, made.version, made.previous) == ("toy#production!#2", "", "toy@v1.0.0")
    told = {"version": "toy@v1.0.0", "previous": "toy@v1.0.0", "reason": "It knew the future"}
    assert two.record(made.tag).items() >= told.items()
    assert in_production(two) is None
    refused(two, "production holds no version", empty, "again", next="pushforward show")
    refused(two, "production holds no version to go back from", rollback, "again")
    assert deprecate(two.clone, "v1.0.0", "It knew the future").tag == "toy@v1.0.0!"
    made = release(two.clone, "v1.1.0")
    assert (made.tag, made.previous) == ("toy#production#3", None)
    assert two.known().problems == ()
    refused(two, "production held no version before toy@v1.1.0", rollback, "why", next="rollback production --empty")


def test_an_environment_that_was_removed_while_in_use_is_emptied(two, git):
    """By the commands that the refusals name; the server knows of the settings by registry.json."""
    known = two.bare / "pushforward" / "registry.json"
    environments = json.loads(known.read_text())["environments"]
    known.write_text(json.dumps({"model": "toy", "environments": environments | {"canary": "manual"}, "reads": []}))
    git(two.clone, "push", "-q", "origin", canary(two, git))
    known.write_text(json.dumps({"model": "toy", "environments": environments, "reads": []}))
    words = "there is no such environment (promote.environments in pushforward.yaml) any more"
    next_one = "pushforward rollback canary --empty -m WHY, or put it back"
    refused(two, words, release, "v1.1.0", environment="canary", next=next_one, code=POLICY)
    next_one = "pushforward rollback canary --empty -m REASON, then this again"
    refused(two, "toy@v1.0.0 is in use in canary", deprecate, "v1.0.0", "why", next=next_one, code=POLICY)
    assert empty(two.clone, "It is no more", environment="canary").tag == "toy#canary!#2"
    assert deprecate(two.clone, "v1.0.0", "why").tag == "toy@v1.0.0!"
    assert show.state(two.clone).environments == {"staging": "toy@v1.1.0"}
    assert "canary       nothing" in show.terminal(show.state(two.clone))


def canary(hub, git):
    git(hub.clone, "fetch", "-q", "--tags", "origin")
    git(hub.clone, "tag", "-s", "-m", "x", "toy#canary#1", "toy@v1.0.0^{}")
    return "toy#canary#1"


def test_an_environment_that_never_was_is_not_emptied(two):
    refused(two, 'there is no environment "prodction"; did you mean production?', empty, "x", environment="prodction")
    refused(two, "production holds no version", empty, "x", next="pushforward show")


def test_the_command_empties_an_environment(two, monkeypatch):
    release(two.clone, "v1.0.0")
    monkeypatch.chdir(two.clone)
    run = CliRunner().invoke
    assert run(main, ["rollback", "--empty", "--to", "v1.0.0", "-m", "x"]).exit_code == USAGE
    done = run(main, ["rollback", "--empty", "-m", "It knew the future"])
    assert done.output == "production: nothing from now on (toy#production!#2, before: toy@v1.0.0)\n"


def test_an_environment_filled_and_emptied_at_once_holds_nothing_and_that_is_told(three, monkeypatch):
    forge_double.make(three)
    other = three.another("other")
    meanwhile(three, monkeypatch, lambda: empty(other, "It knew the future"))
    words = r"production was filled and emptied at the same moment, and holds nothing; toy#production#4 is there"
    with pytest.raises(PushforwardError, match=words) as error:
        rollback(three.clone, "Wrong for EWR")
    assert error.value.next == "pushforward release VERSION --to production"
    assert in_production(three) is None
    assert release(three.clone, "v1.0.0").tag == "toy#production#5"
    assert in_production(three) == "v1.0.0"


def test_who_may_not_sign_an_environment_does_not_empty_it(two):
    release(two.clone, "v1.0.0")
    two.trust("bob@example.org", "staging,main")
    two.person(two.clone, "bob@example.org")
    words = "the key of bob@example.org may sign main, staging, and not toy#production!#2"
    refused(two, words, empty, "why", next="pushforward trust", code=POLICY)


def test_on_a_forge_what_nobody_signed_is_no_version_and_no_use(three, git):
    forge_double.make(three)
    forge_double.forge(three.clone, git, "toy@v9.9.9", "toy#production#4", "toy@v1.1.0!")
    refused(three, "toy has no version v9.9.9", release, "v9.9.9", next="pushforward show")
    made = rollback(three.clone, "Wrong for EWR")
    assert (made.tag, made.version, made.previous) == ("toy#production#5", "toy@v1.1.0", "toy@v1.2.0")
    words = "toy@v1.0.0!: it is not signed with an ssh key; it does not count, and the remote takes no other tag"
    forge_double.forge(three.clone, git, "toy@v1.0.0!")
    refused(three, words, deprecate, "v1.0.0", "why", next="git push origin --delete 'toy@v1.0.0!'", code=POLICY)
    git(three.clone, "push", "-q", "origin", "--delete", "toy@v1.0.0!")
    assert deprecate(three.clone, "v1.0.0", "It knew the future").tag == "toy@v1.0.0!"


def test_on_a_forge_a_signature_counts_for_what_its_key_may_sign(three, git):
    three.trust("bob@example.org", "staging")
    forge_double.make(three)
    other = three.another("other")
    three.person(other, "bob@example.org")
    for name in ("toy@v2.0.0", "toy#production#4"):
        git(other, "tag", "-s", "-m", "x", name, "toy@v1.0.0^{}")
        git(other, "push", "-q", "origin", name)
    git(other, "-c", f"user.signingkey={three.keys['ann@example.org']}", "tag", "-s", "-m", "x", "toy@v1.0.0!")
    git(other, "push", "-q", "origin", "toy@v1.0.0!")
    seen = tagging.look(Repository(three.clone), "origin", "toy")
    known = tagging.counting(three.clone, seen.known, {"staging": "manual"})
    assert known.in_use("production").name == "toy@v1.2.0"
    assert known.in_use("staging").name == "toy@v1.2.0", "it promoted by itself when that version was made"
    assert [version.name for version in known.versions] == ["toy@v1.0.0", "toy@v1.1.0", "toy@v1.2.0"]
    assert known.problems == (
        "toy@v2.0.0: the key of bob@example.org may not sign it; it does not count",
        "toy#production#4: the key of bob@example.org may not sign it; it does not count",
        "toy@v1.0.0!: ann@example.org signed it, but it says bob@example.org; it does not count",
    )


def test_on_a_forge_a_stolen_key_counts_until_its_line_is_gone(three, git):
    """As docs/github.md has it: a revoked key signs tags that are dated back, and one whose line is gone signs none."""
    forge_double.make(three)
    file = three.clone / forge_double.FILE
    git(
        three.clone, "tag", "-s", "-m", "x", "toy#production#4", "toy@v1.0.0^{}", GIT_COMMITTER_DATE="@1700000000 +0000"
    )
    git(three.clone, "push", "-q", "origin", "toy#production#4")
    place, stolen = signers.Place(file, ("production",)), Path(three.key_of("ann@example.org"))

    def held():
        git(three.clone, "commit", "-q", "-am", "Change the keys")
        git(three.clone, "push", "-q", "origin", "HEAD:refs/heads/main")
        seen = tagging.look(Repository(three.clone), "origin", "toy")
        return tagging.counting(three.clone, seen.known, {}).in_use("production")

    signers.revoke(place, " ".join(stolen.read_text().split()[:2]))
    assert str(held().version) == "v1.0.0"
    command = f"""grep -vF "$(cut -d' ' -f2 {stolen})" {file} > kept && mv kept {file}"""
    assert command.replace(str(stolen), "stolen.pub").replace(str(file), forge_double.FILE) in GUIDE.read_text()
    subprocess.run(["sh", "-c", command], cwd=three.folder, check=True)
    assert held() is None
    three.keys["ann@example.org"].unlink()
    three._key("ann@example.org")
    signers.add(place, signers.read_key(Path(three.key_of("ann@example.org"))), "ann@example.org", ("production",))
    assert held() is None
    made = release(three.clone, "v1.2.0")
    assert (made.tag, made.previous) == ("toy#production#5", None)


def test_on_a_server_whose_policy_has_seen_every_tag_no_signature_is_looked_at(three, monkeypatch):
    monkeypatch.setattr(trust, "verify_tag", lambda *_: pytest.fail("a process for each tag"))
    known = three.known()
    assert tagging.counting(three.clone, known, {}) is known


def meanwhile(hub, monkeypatch, call):
    """Somebody else's `call` lands between the look at the registry and the push."""
    push = tagging.without_waiting

    def first(*args):
        monkeypatch.setattr(tagging, "without_waiting", push)
        call()
        return push(*args)

    monkeypatch.setattr(tagging, "without_waiting", first)


def test_a_version_deprecated_while_it_is_put_to_use_is_told(three, monkeypatch):
    forge_double.make(three)
    other = three.another("other")
    meanwhile(three, monkeypatch, lambda: deprecate(other, "v1.1.0", "It knew the future"))
    with pytest.raises(PushforwardError) as error:
        rollback(three.clone, "Wrong for EWR")
    assert "toy@v1.1.0 was deprecated and put to use in production at the same moment" in error.value.message
    assert (error.value.next, error.value.exit_code) == ("pushforward rollback production -m REASON", POLICY)
    assert rollback(three.clone, "It knew the future").version == "toy@v1.0.0"


def test_a_version_put_to_use_while_it_is_deprecated_is_told_and_does_not_verify(three, monkeypatch):
    forge_double.make(three)
    other = three.another("other")
    meanwhile(three, monkeypatch, lambda: rollback(other, "Wrong for EWR"))
    with pytest.raises(PushforwardError, match=r"toy@v1\.1\.0 was deprecated and put to use in production"):
        deprecate(three.clone, "v1.1.0", "It knew the future")
    done = verify(three.clone, in_use="production", quick=True, say=lambda _: None, progress=lambda _: None)
    assert (done.hops[0].name, done.hops[0].ok) == ("use", False)
    assert done.hops[0].said == "toy#production#4 puts toy@v1.1.0 to use, which is deprecated"


def together(*calls):
    """What came of calls that begin at the same moment: a result or an error each."""
    start, came = threading.Barrier(len(calls)), {}

    def run(number, call):
        start.wait()
        try:
            came[number] = call()
        except PushforwardError as error:
            came[number] = error

    threads = [threading.Thread(target=run, args=pair) for pair in enumerate(calls)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [came[number] for number in range(len(calls))]


def test_releases_at_once_get_a_number_each(three):
    clones = [three.another(name) for name in ("ann", "bob", "eve")]
    for clone in clones[1:]:
        three.trust(f"{clone.name}@example.org", "production")
        three.person(clone, f"{clone.name}@example.org")
    calls = [
        lambda clone=clone, version=version: release(clone, version, "Calm", older=True)
        for clone, version in zip(clones, ("v1.0.0", "v1.1.0", "v1.0.0"), strict=True)
    ]
    came = together(*calls)
    made = [one for one in came if not isinstance(one, PushforwardError)]
    assert [one.message for one in came if isinstance(one, PushforwardError)] in (
        [],
        ["production holds toy@v1.0.0 already (toy#production#4)"],
        ["production holds toy@v1.0.0 already (toy#production#5)"],
    )
    assert sorted(one.tag for one in made) == [f"toy#production#{number}" for number in range(4, 4 + len(made))]
    known = three.known()
    records = {use.tag: three.record(use.name) for use in known.assignments}
    assert list(registry.inconsistent(known, records)) == []


def test_two_who_roll_back_at_once_go_back_one_version_not_two(three):
    """The same person in two clones: at the same second their tags are the same, and one tag is made."""
    came = together(
        *(lambda clone=clone: rollback(clone, "Wrong for EWR") for clone in (three.clone, three.another("other")))
    )
    lost = [one.message for one in came if isinstance(one, PushforwardError)]
    assert lost in ([], ["production has moved on to toy@v1.1.0 meanwhile; nothing was done"])
    made = {one.tag for one in came if not isinstance(one, PushforwardError)}
    assert in_production(three) == {1: "v1.1.0", 2: "v1.0.0"}[len(made)], "two only where one began after the other"


def test_a_rollback_that_lost_a_race_does_nothing(three, git):
    """Somebody else rolls back between the look at the registry and the push."""
    other = three.another("other")
    script = three.folder / "meanwhile"
    script.write_text(f"#!/bin/sh\ncd '{other}' && exec '{sys.executable}' -m pushforward rollback -m 'I was first'\n")
    script.chmod(0o755)
    hook = three.clone / ".git" / "hooks" / "pre-push"
    hook.write_text(f"#!/bin/sh\nunset $(git rev-parse --local-env-vars)\n'{script}' >'{three.folder}/said' 2>&1\n")
    hook.chmod(0o755)
    with pytest.raises(PushforwardError) as error:
        rollback(three.clone, "Me too")
    assert (three.folder / "said").read_text().startswith("production: toy@v1.1.0 from now on")
    assert error.value.message == "production has moved on to toy@v1.1.0 meanwhile; nothing was done"
    assert in_production(three) == "v1.1.0"
    assert hub_tags(three, git) == [f"toy#production#{number}" for number in range(1, 5)]


def hub_tags(hub, git):
    return git(hub.bare, "tag", "--list", "toy#production#*").splitlines()


def test_a_push_whose_answer_is_lost_counts_once(three, git):
    """The server takes the tag, and the pusher hears that it failed."""
    wrapper = three.folder / "receive-pack"
    wrapper.write_text('#!/bin/sh\ngit receive-pack "$@"\nexit 1\n')
    wrapper.chmod(0o755)
    git(three.clone, "config", "remote.origin.receivepack", str(wrapper))
    assert rollback(three.clone, "Wrong for EWR").tag == "toy#production#4"
    assert len(hub_tags(three, git)) == 4


def run(hub, monkeypatch, *args):
    monkeypatch.chdir(hub.clone)
    return CliRunner().invoke(main, list(args))


def test_the_commands_say_what_they_did_and_give_it_as_json(three, monkeypatch):
    done = run(three, monkeypatch, "release", "v1.0.0", "--older", "-m", "Calm")
    assert done.output == "production: toy@v1.0.0 from now on (toy#production#4, before: toy@v1.2.0)\n"
    done = run(three, monkeypatch, "rollback", "staging", "-m", "Calm", "--json")
    assert check("rollback", done.output) == {
        "tag": "toy#staging#4",
        "version": "toy@v1.1.0",
        "commit": three.git(three.bare, "rev-parse", "toy@v1.1.0^{commit}"),
        "environment": "staging",
        "previous": "toy@v1.2.0",
        "reason": "Calm",
        "by": "Ann <ann@example.org>",
        "remote": "origin",
    }
    done = run(three, monkeypatch, "release", "v1.1.0", "--to", "production", "--json")
    assert check("release", done.output)["tag"] == "toy#production#5"
    done = run(three, monkeypatch, "deprecate", "v1.0.0", "-m", "Calm", "--json")
    assert check("deprecate", done.output)["tag"] == "toy@v1.0.0!"
    done = run(three, monkeypatch, "deprecate", "v1.2.0", "-m", "It knew the future")
    assert done.output == "toy@v1.2.0 is deprecated (toy@v1.2.0!)\n"
    for verb in ("rollback", "deprecate"):
        done = run(three, monkeypatch, verb, *(["v1.0.0"] if verb == "deprecate" else []))
        assert done.exit_code == USAGE
        assert "Missing option '-m'" in done.output


def test_show_tells_who_released_and_why(three, monkeypatch):
    rollback(three.clone, "Wrong for EWR")
    deprecate(three.clone, "v1.0.0", "It knew the future")
    lines = run(three, monkeypatch, "show").output.splitlines()
    assert lines[1].startswith("  production   toy@v1.1.0  ")
    assert lines[1].endswith("by Ann: Wrong for EWR")
    assert lines[2].endswith("by pushforward promote: it passed the gate")
    assert lines[3].startswith("  deprecated   toy@v1.0.0  ")
    assert lines[3].endswith("by Ann: It knew the future")
    assert lines[4] == ""


def test_a_release_tells_of_what_it_starts_and_a_rollback_waits_for_nothing(two):
    hook = two.bare / "hooks" / "post-receive"
    hook.write_text('#!/bin/sh\necho "${GIT_PUSH_OPTION_0:-shown}" | tee -a told\n')
    hook.chmod(0o755)
    two.git(two.bare, "config", "receive.advertisePushOptions", "true")
    two.git(two.bare, "config", "--add", "receive.hideRefs", "!refs/pushforward/trust")
    two.git(two.bare, "update-ref", TRUST, "main")
    said = []
    release(two.clone, "v1.0.0", say=said.append)
    release(two.clone, "v1.1.0")
    rollback(two.clone, "it sees nothing")
    assert said == ["shown"]
    assert (two.bare / "told").read_text().split() == ["shown", "ci.detach", "ci.detach"]


def test_what_is_refused_is_told_once(two):
    hook = two.bare / "hooks" / "update"
    hook.write_text("#!/bin/sh\necho 'pushforward: not today'; echo '  next: wait'; exit 1\n")
    hook.chmod(0o755)
    said = []
    refused(two, "not today", release, "v1.0.0", say=said.append, code=POLICY)
    assert said == []


def test_who_let_a_commit_into_main_is_told_only_where_their_key_may(two, git):
    """On a server that protects nothing anybody may write such words."""
    two.trust("dan@example.org", "main")

    def said(who, *options, message="Pushforward-Override: the window is a month longer"):
        two.person(two.clone, who)
        git(two.clone, "commit", "-q", "--allow-empty", *options, "-m", message)
        return trust.override(two.clone, Repository(two.clone), Repository(two.clone).commit("HEAD"))

    assert said("dan@example.org", "-S") == "dan@example.org: the window is a month longer"
    assert said("dan@example.org", "-S", message="Merge b\n\nPushforward-Override: why") == "dan@example.org: why"
    assert said("dan@example.org", "-S", message="Merge b") == ""
    assert said("dan@example.org") == ""
    assert said("ann@example.org", "-S") == "", "every environment is not main"


def test_an_older_backup_gives_no_number_again_and_the_command_gives_it_back_what_it_has_lost(three, tmp_path):
    lost = three.git(three.bare, "rev-parse", "refs/tags/toy#production#3")
    three.git(three.clone, "fetch", "-q", "--tags", "origin")
    three.git(three.bare, "update-ref", "-d", "refs/tags/toy#production#3")
    for act in (
        lambda: release(three.clone, "v1.0.0", "as before", older=True),
        lambda: empty(three.clone, "nothing", environment="production"),
    ):
        with pytest.raises(PushforwardError) as refused:
            act()
        said = "this clone knows toy#production#3, and origin does not: it is an older backup, or another server"
        assert (refused.value.message, refused.value.exit_code) == (said, 5)
    back, _, other = refused.value.next.partition(", as its owner; where they are another server's: ")
    assert other == "git tag -d 'toy#production#3'"
    subprocess.run(["sh", "-c", back], check=True, cwd=tmp_path)
    assert three.git(three.bare, "rev-parse", "refs/tags/toy#production#3") == lost
    assert release(three.clone, "v1.0.0", "as before", older=True).tag == "toy#production#4"


def test_what_a_push_that_died_has_left_is_no_older_backup(three):
    commit = three.git(three.clone, "rev-parse", "toy@v1.0.0^{commit}")
    three.git(three.clone, "tag", "-a", "-m", "died", "toy#production#4", commit)
    assert release(three.clone, "v1.0.0", "as before", older=True).tag == "toy#production#4"
