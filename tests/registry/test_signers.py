"""Trusting and revoking keys, as a person types it and as init does: real keys, a real bare repository."""

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from pushforward.commands.cli import main
from pushforward.errors import PushforwardError
from pushforward.git.environment import SERVICE_EMAIL
from pushforward.git.refs import TRUST
from pushforward.registry import signers, ssh, trust
from pushforward.registry.signers import Place
from pushforward.registry.ssh import Signer

ANN, BOB = "ann@example.org", "bob@example.org"
SETTINGS = (Path(__file__).parent.parent / "toy" / "pushforward.yaml").read_text()


def make_key(path, *options):
    command = ["ssh-keygen", "-q", *(options or ("-t", "ed25519")), "-N", "", "-C", "me@here", "-f", str(path)]
    subprocess.run(command, check=True, capture_output=True)
    return " ".join(path.with_name(path.name + ".pub").read_text().split()[:2])


@pytest.fixture
def keys(tmp_path):
    folder = tmp_path / "keys"
    folder.mkdir()
    return {name: make_key(folder / name) for name in ("ann", "bob")}


@pytest.fixture
def server(tmp_path, git):
    """The part of a server that keys need."""
    bare = tmp_path / "hub.git"
    git(tmp_path, "init", "-q", "--bare", str(bare))
    (bare / "pushforward").mkdir()
    environments = {"staging": "auto", "production": "manual"}
    (bare / "pushforward" / "registry.json").write_text(json.dumps({"model": "toy", "environments": environments}))
    signers.own_key(bare)
    return bare


@pytest.fixture
def place(server):
    return signers.place_of(server, server)


@pytest.fixture
def clone(server, repository, git, monkeypatch):
    """A clone whose `local` is the server, and the folder at hand."""
    git(repository, "remote", "add", "local", str(server))
    monkeypatch.chdir(repository)
    return repository


def signed_for(place):
    return {one.principal: set(one.may) for one in ssh.read(place.file.read_text()) if not one.valid_before}


def pushforward(*args, **options):
    return CliRunner().invoke(main, ["trust", *map(str, args)], **options)


def refusal(function, *args):
    with pytest.raises(PushforwardError) as refused:
        function(*args)
    return refused.value


def published(git, server):
    return git(server, "show", f"{TRUST}:allowed_signers")


# What may be signed.


def test_a_key_is_trusted_for_everything_or_for_what_is_said(place, keys):
    assert signers.add(place, keys["ann"], ANN) == Signer(ANN, keys["ann"], frozenset({"any"}))
    signers.add(place, keys["bob"], BOB, ["staging"])
    assert signed_for(place) == {SERVICE_EMAIL: {"version"}, ANN: {"any"}, BOB: {"staging"}}


@pytest.mark.parametrize(
    "address", ["a@x.org\n", "a\t@x.org", "änn@x.org", "a@x.org\\", "<a@x.org>", "a" * 250 + "@x.org"]
)
def test_an_address_that_no_mail_has_is_refused(place, keys, address):
    assert "is not an address" in refusal(signers.add, place, keys["ann"], address).message


def test_what_a_key_may_sign_grows_and_never_shrinks(place, keys):
    for wanted, found in (
        (["staging"], {"staging"}),
        (["production"], {"staging", "production"}),
        ([], {"any"}),
    ):
        signers.add(place, keys["ann"], ANN, wanted)
        assert signed_for(place)[ANN] == found
    refused = refusal(signers.add, place, keys["ann"], ANN, ["staging"])
    assert "this key is trusted already, for any" in refused.message
    assert len(place.file.read_text().splitlines()) == 2


def test_the_right_to_let_into_main_is_given_by_name_only(place, keys):
    assert not signers.add(place, keys["ann"], ANN).allows("main")
    signers.add(place, keys["ann"], ANN, ["main"])
    signers.add(place, keys["bob"], BOB, ["main"])
    signers.add(place, keys["bob"], BOB, ["staging"])
    assert signed_for(place) == {SERVICE_EMAIL: {"version"}, ANN: {"any", "main"}, BOB: {"main", "staging"}}
    ann, bob = (one for one in ssh.read(place.file.read_text()) if one.principal in {ANN, BOB})
    assert all(one.allows("main") for one in (ann, bob))
    assert [one.allows("production") for one in (ann, bob)] == [True, False]
    refused = refusal(signers.add, place, keys["bob"], SERVICE_EMAIL, ["main"])
    assert "the service signs nothing else" in refused.message


def test_one_key_is_one_persons(place, keys):
    signers.add(place, keys["ann"], ANN)
    assert f"this key is trusted already, as {ANN}'s" in refusal(signers.add, place, keys["ann"], BOB).message


def test_an_environment_that_there_is_not_is_refused(place, keys):
    refused = refusal(signers.add, place, keys["ann"], ANN, ["staging", "prod"])
    assert "there is no environment 'prod'" in refused.message
    assert refused.next == "pushforward trust KEY.pub --for staging --for production"
    assert ANN not in signed_for(place)


def test_versions_are_signed_by_the_service_and_nothing_else_is(place, keys):
    for who, may in ((ANN, ["version"]), (ANN, ["version", "staging"]), (SERVICE_EMAIL, ["staging"])):
        assert "versions are signed by the service alone" in refusal(signers.add, place, keys["ann"], who, may).message
    signers.add(place, keys["ann"], SERVICE_EMAIL)
    assert signed_for(place)[SERVICE_EMAIL] == {"version"}


@pytest.mark.parametrize("address", ["", "ann", "ann@", "*@x.org", "a?n@x.org", "!a@x.org", "-a@x.org", "#a@x.org"])
@pytest.mark.parametrize("and_more", ["", ",bob@x.org", " x"])
def test_an_address_that_ssh_would_read_otherwise_is_refused(place, keys, address, and_more):
    before = place.file.read_bytes()
    assert "is not an address" in refusal(signers.add, place, keys["ann"], address + and_more).message
    assert place.file.read_bytes() == before


# Keys that people give.


def test_a_private_key_is_not_read_and_the_public_one_is_named(tmp_path, keys):
    private = tmp_path / "keys" / "ann"
    refused = refusal(signers.read_key, private)
    assert refused.message == f"{private} is a private key; it stays with you and was not read"
    assert refused.next == f"pushforward trust {private}.pub"
    (tmp_path / "key.ppk").write_text("PuTTY-User-Key-File-3: ssh-ed25519\n")
    assert "is a private key" in refusal(signers.read_key, tmp_path / "key.ppk").message


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "holds no keys, not one"),
        ("{ann}\n{bob}\n", "holds 2 keys, not one"),
        ("ssh-dss AAAAB3NzaC1kc3MAAAA=", "a DSA key, which nobody should trust"),
        ("ssh-ed25519-cert-v01@openssh.com AAAA", "a certificate, not a key"),
        ('command="x" {ann}', "not a public ssh key"),
        ("hello", "not a public ssh key"),
        ("ssh-ed25519", "is damaged"),
        ("ssh-ed25519 AAAA", "is damaged"),
        ("ssh-ed25519 A*A", "is damaged"),
        ("ssh-rsa {body}", "is damaged"),
        ("ssh-ed25519 {body}AAAA", "is damaged"),
        ("\x00\xff", "not a public ssh key"),
    ],
)
def test_what_is_no_key_to_trust_is_refused(tmp_path, keys, text, why):
    path = tmp_path / "key.pub"
    path.write_text(text.format(**keys, body=keys["ann"].split()[1]))
    assert why in refusal(signers.read_key, path).message


def test_a_key_that_is_not_there_is_refused(tmp_path):
    assert "cannot be read: No such file" in refusal(signers.read_key, tmp_path / "no.pub").message
    assert "cannot be read: Is a directory" in refusal(signers.read_key, tmp_path).message


def test_an_rsa_key_is_long_enough_or_refused(tmp_path):
    short = make_key(tmp_path / "short", "-t", "rsa", "-b", "1024")
    long = make_key(tmp_path / "long", "-t", "rsa", "-b", "2048")
    assert "is an RSA key of 1024 bits; 2048 are the least" in refusal(signers.checked, short, "it").message
    assert signers.read_key(tmp_path / "long.pub") == long


def test_comments_and_line_ends_of_a_key_are_left_out(tmp_path, keys):
    path = tmp_path / "key.pub"
    path.write_text(f"# mine\r\n\r\n{keys['ann']} Ann's new laptop may=any\r\n")
    assert signers.read_key(path) == keys["ann"]


def test_a_key_of_which_git_knows_is_the_persons_own(repository, tmp_path, keys, git):
    from pushforward.git.repository import Repository

    git(repository, "config", "gpg.format", "ssh")
    for given in (tmp_path / "keys" / "ann.pub", tmp_path / "keys" / "ann", f"key::{keys['ann']} a comment"):
        git(repository, "config", "user.signingkey", str(given))
        assert signers.mine(Repository(repository)) == keys["ann"]


# Revoking.


def test_a_revoked_key_keeps_its_line_and_stays_revoked(place, keys):
    signers.add(place, keys["ann"], ANN)
    before = time.strftime("%Y%m%d%H%M%SZ", time.gmtime())
    (revoked,) = signers.revoke(place, keys["ann"])
    assert before <= revoked.valid_before <= time.strftime("%Y%m%d%H%M%SZ", time.gmtime())
    assert ssh.read(place.file.read_text())[1] == revoked
    assert "it was revoked at" in refusal(signers.revoke, place, keys["ann"]).message
    assert "a revoked key stays revoked" in refusal(signers.add, place, keys["ann"], ANN).message


def test_a_key_is_revoked_by_its_fingerprint(place, keys):
    signers.add(place, keys["ann"], ANN)
    signers.revoke(place, ssh.fingerprint(keys["ann"]))
    assert ANN not in signed_for(place)
    assert "nobody trusts it" in refusal(signers.revoke, place, ssh.fingerprint(keys["bob"])).message


def test_comments_and_order_of_the_file_stay(place, keys):
    place.file.write_text(f"# the service\n{place.file.read_text()}\n# people\n")
    signers.add(place, keys["ann"], ANN, ["staging"])
    signers.add(place, keys["bob"], BOB)
    signers.add(place, keys["ann"], ANN)
    signers.revoke(place, keys["bob"])
    lines = place.file.read_text().splitlines()
    assert [line.split(" ")[0] for line in lines] == ["#", SERVICE_EMAIL, "", "#", ANN, BOB]


def test_a_file_that_cannot_be_read_is_left_alone(place, keys):
    place.file.write_text("rubbish\n")
    assert "line 1: not a line" in refusal(signers.add, place, keys["ann"], ANN).message
    assert place.file.read_text() == "rubbish\n"
    place.file.write_bytes(b"\xff\xfe")
    assert "it is not text" in refusal(signers.add, place, keys["ann"], ANN).message


# Writing.


def test_the_file_is_published_as_a_chain_that_only_grows(place, keys, server, git):
    signers.add(place, keys["ann"], ANN)
    signers.revoke(place, keys["ann"])
    assert published(git, server) == place.file.read_text().strip()
    subjects = git(server, "log", "--format=%s", TRUST).splitlines()
    name = ssh.fingerprint(keys["ann"])
    assert subjects[:2] == [f"Revoke {name}", f"Trust {ANN} for any: {name}"]
    assert git(server, "log", "-1", "--format=%ae", TRUST) == SERVICE_EMAIL


def test_of_many_at_once_none_is_lost(place, server, git, tmp_path):
    folder = tmp_path / "many"
    folder.mkdir()
    keys = [make_key(folder / str(number)) for number in range(8)]
    workers = [
        threading.Thread(target=signers.add, args=(place, key, f"p{number}@x.org")) for number, key in enumerate(keys)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(signed_for(place)) == 9
    assert published(git, server) == place.file.read_text().strip()
    assert sorted(path.name for path in place.file.parent.iterdir()) == ["allowed_signers", "keys", "registry.json"]


def test_a_process_that_is_killed_leaves_the_old_file_or_the_new(place, keys, server):
    before = place.file.read_text()
    code = (
        "import os, sys\nfrom pathlib import Path\nfrom pushforward.registry import signers\n"
        "os.fsync = lambda handle: os.kill(os.getpid(), 9)\n"
        "place = signers.place_of(Path(sys.argv[1]), Path(sys.argv[1]))\n"
        "signers.add(place, sys.argv[2], 'ann@example.org')\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(server), keys["ann"]], check=False)
    assert done.returncode == -9
    assert place.file.read_text() == before
    signers.add(place, keys["ann"], ANN)
    assert ANN in signed_for(place)


def test_a_full_disk_changes_nothing(place, keys, monkeypatch):
    before = place.file.read_text()

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    assert "cannot be changed: No space left on device" in refusal(signers.add, place, keys["ann"], ANN).message
    assert place.file.read_text() == before
    assert sorted(path.name for path in place.file.parent.iterdir()) == ["allowed_signers", "keys", "registry.json"]


def test_the_mask_of_the_user_does_not_count(place, keys):
    mask = os.umask(0o000)
    try:
        signers.add(place, keys["ann"], ANN)
        assert place.file.stat().st_mode & 0o777 == 0o644
        os.umask(0o077)
        signers.add(place, keys["bob"], BOB)
        assert place.file.stat().st_mode & 0o777 == 0o644
    finally:
        os.umask(mask)


# The server's own key.


def test_the_servers_key_signs_what_the_file_says(server, place):
    key = signers.private_key(server)
    assert key.stat().st_mode & 0o777 == 0o600
    assert key.parent.stat().st_mode & 0o777 == 0o700
    words = key.with_suffix(".pub").read_text().split()
    assert len(words) == 2, "no comment"
    assert trust.verify_file(b"x", trust.sign_file(b"x", key), SERVICE_EMAIL, place.file).key == " ".join(words)


def test_the_servers_key_is_kept(server, place, git):
    key, before = signers.private_key(server), place.file.read_bytes()
    text, commit = key.read_text(), git(server, "rev-parse", TRUST)
    key.chmod(0o640)
    signers.own_key(server)
    assert (key.read_text(), place.file.read_bytes(), git(server, "rev-parse", TRUST)) == (text, before, commit)
    assert key.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("how", ["lost", "revoked"])
def test_a_key_that_is_lost_or_revoked_is_followed_by_another(server, place, how):
    key = signers.private_key(server)
    (old,) = ssh.read(place.file.read_text())
    if how == "lost":
        key.unlink()
    else:
        signers.revoke(place, old.key)
    signers.own_key(server)
    first, second = ssh.read(place.file.read_text())
    assert (first.key, bool(first.valid_before), second.valid_before) == (old.key, True, "")
    assert signers.public_half(key) == second.key != old.key
    assert key.with_suffix(".pub").read_text() == f"{second.key}\n"


def test_a_public_half_or_a_line_that_is_lost_comes_back(server, place):
    key, before = signers.private_key(server), place.file.read_text()
    key.with_suffix(".pub").unlink()
    place.file.unlink()
    signers.own_key(server)
    assert place.file.read_text() == before
    assert key.with_suffix(".pub").read_text() == f"{signers.public_half(key)}\n"


def test_a_damaged_key_of_the_server_is_named(server):
    key = signers.private_key(server)
    key.write_text("damaged\n")
    refused = refusal(signers.own_key, server)
    assert f"{key} is damaged, or has a passphrase" in refused.message


# The command.


def test_a_person_trusts_their_own_key(clone, place, tmp_path, keys):
    done = pushforward(tmp_path / "keys" / "ann.pub", "--for", "staging")
    assert (done.exit_code, signed_for(place)[ANN]) == (0, {"staging"})
    assert done.output == f"{ANN}  staging  ssh-ed25519 {ssh.fingerprint(keys['ann'])}\n"


def test_the_key_of_a_colleague_needs_their_address(clone, place, tmp_path, keys):
    (tmp_path / "keys" / "bob").unlink()
    done = pushforward(tmp_path / "keys" / "bob.pub")
    assert done.exit_code == 2
    assert "bob.pub is not your own key: whose is it?" in done.stderr
    assert pushforward(tmp_path / "keys" / "bob.pub", "--as", BOB).exit_code == 0
    assert signed_for(place)[BOB] == {"any"}


def test_a_key_comes_by_standard_input_on_a_server_without_a_clone(server, place, tmp_path, keys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = pushforward("-", "--as", ANN, "--bare", server, input=f"{keys['ann']} ann@laptop\n")
    assert (done.exit_code, signed_for(place)[ANN]) == (0, {"any"})
    private = (tmp_path / "keys" / "ann").read_text()
    said = pushforward("-", "--as", ANN, "--bare", server, input=private).stderr
    assert "that is a private key; it stays with you" in said


def test_the_keys_are_listed(clone, tmp_path, keys, place):
    pushforward(tmp_path / "keys" / "ann.pub")
    pushforward(tmp_path / "keys" / "bob.pub", "--as", BOB, "--for", "production", "--for", "staging")
    pushforward(ssh.fingerprint(keys["bob"]), "--revoke")
    lines = pushforward().output.splitlines()
    day = time.strftime("%Y-%m-%d", time.gmtime())
    assert [line.split("  ")[0] for line in lines] == [SERVICE_EMAIL, ANN, BOB]
    assert "every environment" in lines[1]
    assert f"production, staging (revoked {day}" in lines[2]
    told = json.loads(pushforward("--json").output)
    assert [key["may"] for key in told] == [["version"], ["any"], ["production", "staging"]]
    assert told[1] == {
        "principal": ANN,
        "may": ["any"],
        "valid_before": "",
        "key": keys["ann"],
        "fingerprint": ssh.fingerprint(keys["ann"]),
    }


def test_the_file_of_a_forge_is_made_and_listed(repository, tmp_path, keys, git, monkeypatch):
    (repository / "pushforward.yaml").write_text(SETTINGS)
    monkeypatch.chdir(repository)
    file = ".github/allowed_signers"
    assert pushforward("--file", file).output.startswith("nobody may sign yet")
    done = pushforward(tmp_path / "keys" / "ann.pub", "--file", file, "--for", "production")
    assert f"next: git add {file} && git commit" in done.output
    pushforward(tmp_path / "keys" / "bob.pub", "--file", file, "--as", SERVICE_EMAIL, "--for", "version")
    assert [one.principal for one in ssh.read((repository / file).read_text())] == [ANN, SERVICE_EMAIL]
    assert "no environment 'prod'" in pushforward(tmp_path / "keys" / "ann.pub", "--file", file, "--for", "prod").stderr
    assert git(repository, "for-each-ref", TRUST) == ""
    assert sorted(path.name for path in (repository / ".github").iterdir()) == ["allowed_signers"]


def test_a_clone_without_a_server_is_told_both_ways(repository, tmp_path, keys, monkeypatch):
    monkeypatch.chdir(repository)
    said = pushforward(tmp_path / "keys" / "ann.pub").stderr
    assert "this clone has no server\n  next: pushforward init; for a forge: pushforward trust KEY --file" in said


def test_a_server_on_another_machine_is_told_what_to_type_there(repository, tmp_path, keys, git, monkeypatch):
    git(repository, "remote", "add", "local", "ssh://git@hub:2222/srv/team.git")
    monkeypatch.chdir(repository)
    done = pushforward(tmp_path / "keys" / "ann.pub")
    assert done.exit_code == 2
    assert (
        "the server is on another machine (ssh://git@hub:2222/srv/team.git); its keys are changed there" in done.stderr
    )
    typed = "ssh -p 2222 git@hub 'pushforward trust - --as EMAIL --bare /srv/team.git' < KEY.pub"
    assert f"next: {typed}" in done.stderr


def test_what_is_no_server_is_refused(repository, tmp_path, keys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    said = pushforward(tmp_path / "keys" / "ann.pub", "--as", ANN, "--bare", repository).stderr
    assert "is not a server of pushforward" in said
    said = pushforward(tmp_path / "keys" / "ann.pub", "--as", ANN, "--file", "x").stderr
    assert "is not a git repository" in said


@pytest.mark.parametrize("args", [("--revoke",), ("--as", ANN), ("x.pub", "--bare", "a", "--file", "b")])
def test_a_command_that_says_too_little_or_too_much_is_refused(args):
    assert pushforward(*args).exit_code == 2


def test_a_machine_without_ssh_keygen_says_so(place, keys, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "ssh-keygen is not installed" in refusal(signers.checked, keys["ann"], "it").message


def test_a_place_is_what_it_says(server):
    assert signers.place_of(server, server) == Place(
        server / "pushforward" / "allowed_signers", ("staging", "production"), server
    )
