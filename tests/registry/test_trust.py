"""Whose signatures count: real keys, real tags, and git and ssh-keygen asked the same questions."""

import base64
import subprocess
import sys
import time
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from pushforward.errors import POLICY, PushforwardError
from pushforward.git.environment import SERVICE_EMAIL
from pushforward.git.refs import TRUST
from pushforward.git.repository import Repository
from pushforward.registry import signers, ssh, trust
from pushforward.registry.signers import Place
from pushforward.registry.ssh import Signer

NAME = "toy@v1.0.0"
ANN, BOB = "ann@example.org", "bob@example.org"
NOON = 1795435200  # 2026-11-23 12:00 UTC


def make_key(path: Path, *options: str) -> str:
    """A key pair at `path`; its public half."""
    command = ["ssh-keygen", "-q", *(options or ("-t", "ed25519")), "-N", "", "-C", "", "-f", str(path)]
    subprocess.run(command, check=True, capture_output=True)
    return " ".join(path.with_name(path.name + ".pub").read_text().split()[:2])


@pytest.fixture
def keys(tmp_path):
    """Ann's and Bob's keys, in a folder of their own."""
    folder = tmp_path / "keys"
    folder.mkdir()
    return {name: make_key(folder / name) for name in ("ann", "bob")}


@pytest.fixture
def allowed(tmp_path, keys):
    """Who may sign: both."""
    path = tmp_path / "allowed_signers"
    may = frozenset({"any"})
    path.write_text(f"{Signer(ANN, keys['ann'], may).line()}\n{Signer(BOB, keys['bob'], may).line()}\n")
    return path


@pytest.fixture
def sign(repository, tmp_path, git):
    """Make a signed tag the way a person does; its object."""

    def make(name=NAME, *args, key="ann", email=ANN, when=NOON, message="A version"):
        config = ("-c", "gpg.format=ssh", "-c", f"user.signingkey={tmp_path / 'keys' / key}")
        who = {"GIT_COMMITTER_NAME": "A", "GIT_COMMITTER_EMAIL": email, "GIT_COMMITTER_DATE": f"{when} +0100"}
        git(repository, *config, "tag", "-f", "-s", "-m", message, name, *args, **who)
        return git(repository, "rev-parse", f"refs/tags/{name}")

    return make


def refusal(repository, tag, signers_file, name=NAME):
    with pytest.raises(PushforwardError) as refused:
        trust.verify_tag(Repository(repository), tag, name, signers_file)
    assert refused.value.exit_code == POLICY
    return refused.value.message


def git_says(repository, tag, allowed):
    """What `git verify-tag` makes of it."""
    command = ["git", "-C", str(repository), "-c", f"gpg.ssh.allowedSignersFile={allowed}", "verify-tag", tag]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def rewrite(git, repository, tag, change):
    """The tag object with other bytes, stored as no git command would."""
    content = subprocess.run(
        ["git", "-C", str(repository), "cat-file", "tag", tag], capture_output=True, check=True
    ).stdout
    changed = change(content)
    assert changed != content
    done = subprocess.run(
        ["git", "-C", str(repository), "hash-object", "-w", "-t", "tag", "--literally", "--stdin"],
        input=changed,
        capture_output=True,
        check=True,
    )
    return done.stdout.decode().strip()


# Tags.


def test_a_signed_tag_says_who_signed_it(repository, keys, allowed, sign):
    tag = sign()
    assert trust.verify_tag(Repository(repository), tag, NAME, allowed) == Signer(ANN, keys["ann"], frozenset({"any"}))
    assert git_says(repository, tag, allowed)


@pytest.mark.parametrize("options", [("-t", "ecdsa", "-b", "384"), ("-t", "rsa", "-b", "2048")], ids=["ecdsa", "rsa"])
def test_other_kinds_of_keys_sign_too(repository, tmp_path, keys, allowed, sign, options):
    key = make_key(tmp_path / "keys" / "other", *options)
    allowed.write_text(Signer(ANN, key, frozenset({"any"})).line() + "\n")
    tag = sign(key="other")
    assert trust.verify_tag(Repository(repository), tag, NAME, allowed).key == key
    assert git_says(repository, tag, allowed)


def test_a_validly_signed_tag_under_another_name_is_refused_though_git_takes_it(repository, keys, allowed, sign):
    tag = sign()
    assert refusal(repository, tag, allowed, "toy@v9.9.9") == "toy@v9.9.9: the tag object inside is called 'toy@v1.0.0'"
    assert git_says(repository, tag, allowed)


def test_a_key_that_nobody_trusts_is_refused(repository, tmp_path, keys, allowed, sign):
    stranger = make_key(tmp_path / "keys" / "stranger")
    tag = sign(key="stranger")
    assert refusal(repository, tag, allowed) == f"{NAME}: nobody trusts its key {ssh.fingerprint(stranger)}"
    assert not git_says(repository, tag, allowed)


def test_the_address_of_somebody_else_is_refused_though_git_takes_it(repository, keys, allowed, sign):
    tag = sign(key="bob", email=ANN)
    assert refusal(repository, tag, allowed) == f"{NAME}: {BOB} signed it, but it says {ANN}"
    assert git_says(repository, tag, allowed)


def test_what_a_key_signed_before_it_was_revoked_stays(repository, keys, allowed, sign):
    revoked = Signer(ANN, keys["ann"], frozenset({"any"}), time.strftime("%Y%m%d%H%M%SZ", time.gmtime(NOON)))
    allowed.write_text(revoked.line() + "\n")
    for when, good in ((NOON - 3600, True), (NOON - 1, True), (NOON, False), (NOON + 3600, False)):
        tag = sign(when=when)
        assert git_says(repository, tag, allowed) == (when <= NOON), "git takes the second of the revocation too"
        if good:
            assert trust.verify_tag(Repository(repository), tag, NAME, allowed) == revoked
        else:
            assert "was revoked at 20261123120000Z" in refusal(repository, tag, allowed)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda tag: tag.replace(b"A version", b"A Version"), "its signature does not fit"),
        (lambda tag: tag.replace(b"tagger A <ann", b"tagger B <ann"), "its signature does not fit"),
        (lambda tag: tag.replace(b" +0100", b" +0200"), "its signature does not fit"),
        (lambda tag: tag + b"junk\n", "its signature is damaged, or something follows it"),
        (lambda tag: tag.replace(b"U1NIU0lH", b"U1NIU0lI"), "its signature is damaged, or something follows it"),
        (lambda tag: tag.replace(b"BEGIN SSH SIGNATURE-----\n", b"BEGIN SSH SIGNATURE-----\n?"), "damaged"),
        (lambda tag: tag.replace(b"\n\nA", b"\nextra x\n\nA"), "its head has other lines"),
        (lambda tag: tag.replace(b"\ntag ", b"\ntag x\ntag "), "its head has other lines"),
        (lambda tag: tag.replace(b"tagger A <", b"tagger A "), "its tagger cannot be read"),
        (lambda tag: tag.partition(b"-----BEGIN")[0], "it is not signed with an ssh key"),
        (lambda tag: tag.replace(b"ann@example.org", b"*@example.org"), "no key can be trusted for the address"),
        (lambda tag: tag.replace(b"type commit", b"type blob"), "it names a blob, not a commit"),
    ],
    ids=[
        "text",
        "tagger",
        "zone",
        "text behind the signature",
        "magic",
        "no base64",
        "another header",
        "two names",
        "no address",
        "unsigned",
        "wildcard",
        "another type",
    ],
)
def test_a_tag_that_was_changed_is_refused(repository, keys, allowed, sign, git, change, why):
    assert why in refusal(repository, rewrite(git, repository, sign(), change), allowed)


def test_text_behind_a_signature_is_refused_though_git_takes_it(repository, keys, allowed, sign, git):
    tag = rewrite(git, repository, sign(), lambda content: content + b'{"model": "another"}\n')
    assert "something follows it" in refusal(repository, tag, allowed)
    assert git_says(repository, tag, allowed)


def test_a_lightweight_tag_is_refused(repository, keys, allowed, git):
    git(repository, "tag", NAME)
    assert "it is lightweight" in refusal(repository, git(repository, "rev-parse", NAME), allowed)


def test_a_tag_object_that_is_not_there_is_refused(repository, keys, allowed):
    assert "there is no such tag object" in refusal(repository, "1" * 40, allowed)


def test_a_tag_of_a_tag_or_of_a_file_is_refused_though_git_takes_it(repository, keys, allowed, sign, git):
    inner = sign("inner")
    for target, kind in ((inner, "tag"), ("HEAD^{tree}", "tree")):
        tag = sign(NAME, target)
        assert refusal(repository, tag, allowed) == f"{NAME}: it names a {kind}, not a commit"
        assert git_says(repository, tag, allowed)


def test_a_signature_for_another_purpose_is_refused(repository, keys, allowed, sign, git, tmp_path):
    def resign(content):
        payload = content[: content.index(b"-----BEGIN")]
        return payload + trust.sign_file(payload, tmp_path / "keys" / "ann")

    tag = rewrite(git, repository, sign(), resign)
    assert "signed for something else than git" in refusal(repository, tag, allowed)
    assert not git_says(repository, tag, allowed)


def test_a_second_signature_inside_the_message_is_refused(repository, keys, allowed, sign, git):
    tag = rewrite(git, repository, sign(), lambda content: content + content[content.index(b"-----BEGIN") :])
    assert "its text holds what reads as the beginning of a signature" in refusal(repository, tag, allowed)


def test_a_security_key_signs_too(repository, keys, allowed, sign, git):
    """What an authenticator with a touch makes, by the rules of PROTOCOL.u2f; the verdict is ssh-keygen's."""

    def field(content):
        return len(content).to_bytes(4, "big") + content

    private = Ed25519PrivateKey.generate()
    point = private.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    kind = b"sk-ssh-ed25519@openssh.com"
    blob = field(kind) + field(point) + field(b"ssh:")
    key = f"{kind.decode()} {base64.b64encode(blob).decode()}"
    allowed.write_text(Signer(ANN, key, frozenset({"any"})).line() + "\n")

    def sha(content, kind):
        digest = hashes.Hash(kind)
        digest.update(content)
        return digest.finalize()

    def resign(content):
        payload = content[: content.index(b"-----BEGIN")]
        signed = b"SSHSIG" + field(b"git") + field(b"") + field(b"sha512") + field(sha(payload, hashes.SHA512()))
        state = b"\x01" + (7).to_bytes(4, "big")
        made = private.sign(sha(b"ssh:", hashes.SHA256()) + state + sha(signed, hashes.SHA256()))
        whole = b"SSHSIG" + (1).to_bytes(4, "big") + field(blob) + field(b"git") + field(b"") + field(b"sha512")
        whole += field(field(kind) + field(made) + state)
        text = base64.encodebytes(whole).replace(b"\n", b"")
        lines = b"\n".join(text[at : at + 70] for at in range(0, len(text), 70))
        return payload + b"-----BEGIN SSH SIGNATURE-----\n" + lines + b"\n-----END SSH SIGNATURE-----\n"

    tag = rewrite(git, repository, sign(), resign)
    assert trust.verify_tag(Repository(repository), tag, NAME, allowed).key == key
    assert git_says(repository, tag, allowed)
    assert signers.checked(key, "x") == key


def test_the_zone_and_language_of_the_machine_do_not_count(repository, keys, allowed, sign, monkeypatch):
    allowed.write_text(Signer(ANN, keys["ann"], frozenset({"any"}), "20261123120000Z").line() + "\n")
    tag = sign(when=NOON - 60)
    for zone in ("Pacific/Kiritimati", "America/Los_Angeles"):
        monkeypatch.setenv("TZ", zone)
        time.tzset()
        trust.verify_tag(Repository(repository), tag, NAME, allowed)
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()


# Files.


def test_a_signed_file_verifies_and_ssh_keygen_agrees(tmp_path, keys, allowed):
    content = b'{"subject": []}'
    signature = trust.sign_file(content, tmp_path / "keys" / "bob")
    assert trust.verify_file(content, signature, BOB, allowed).key == keys["bob"]
    (tmp_path / "s").write_bytes(signature)
    command = [
        "ssh-keygen",
        "-Y",
        "verify",
        "-n",
        "pushforward",
        "-I",
        BOB,
        "-f",
        str(allowed),
        "-s",
        str(tmp_path / "s"),
    ]
    assert subprocess.run(command, input=content, capture_output=True, check=False).returncode == 0
    assert subprocess.run(command, input=content + b" ", capture_output=True, check=False).returncode != 0


def test_a_file_that_was_changed_or_signed_by_another_is_refused(tmp_path, keys, allowed):
    signature = trust.sign_file(b"right", tmp_path / "keys" / "bob")
    for content, principal, why in (
        (b"wrong", BOB, "the card: its signature does not fit"),
        (b"right", ANN, f"the card: {BOB} signed it, but it says {ANN}"),
    ):
        with pytest.raises(PushforwardError, match=why):
            trust.verify_file(content, signature, principal, allowed, name="the card")


def test_a_signature_of_a_tag_does_not_do_for_a_file(tmp_path, keys, allowed):
    command = ["ssh-keygen", "-Y", "sign", "-n", "git", "-f", str(tmp_path / "keys" / "ann")]
    signature = subprocess.run(command, input=b"x", capture_output=True, check=True).stdout
    with pytest.raises(PushforwardError, match="signed for something else than pushforward"):
        trust.verify_file(b"x", signature, ANN, allowed)


def test_a_file_counts_at_the_moment_that_something_vouches_for(tmp_path, keys, allowed):
    signature = trust.sign_file(b"x", tmp_path / "keys" / "ann")
    allowed.write_text(Signer(ANN, keys["ann"], frozenset({"any"}), "20261123120000Z").line() + "\n")
    trust.verify_file(b"x", signature, ANN, allowed, at=NOON - 1)
    with pytest.raises(PushforwardError, match="was revoked"):
        trust.verify_file(b"x", signature, ANN, allowed, at=NOON + 1)


# Where the file is.


@pytest.fixture
def server(tmp_path, git):
    """The part of a server that signing needs."""
    bare = tmp_path / "hub.git"
    git(tmp_path, "init", "-q", "--bare", str(bare))
    (bare / "pushforward").mkdir()
    signers.own_key(bare)
    return bare


@pytest.fixture
def place(server):
    return Place(server / "pushforward" / "allowed_signers", ("staging", "production"), server)


def known(root, remote=""):
    with trust.signers_file(root, remote) as path:
        return [one.principal for one in ssh.read(path.read_text())]


@pytest.mark.parametrize("form", ["{}", "file://{}"])
def test_a_server_on_this_machine_has_a_file(server, repository, git, form):
    assert known(server) == [SERVICE_EMAIL]
    git(repository, "remote", "add", "local", form.format(server))
    with trust.signers_file(repository) as path:
        assert path == server / "pushforward" / "allowed_signers"
    git(repository, "remote", "rename", "local", "origin")
    assert known(repository) == [SERVICE_EMAIL]


@pytest.fixture
def distant(server, repository, git, tmp_path):
    """A clone whose server lies on "another machine": git reaches it through a stand-in for ssh."""
    program = tmp_path / "ssh"
    program.write_text('#!/bin/sh\nwhile [ "$1" != host ]; do shift; done\nshift\nexec sh -c "$*"\n')
    program.chmod(0o755)
    git(repository, "config", "core.sshCommand", str(program))
    git(repository, "config", "ssh.variant", "simple")
    git(repository, "remote", "add", "local", f"host:{server}")
    return repository


def test_a_server_elsewhere_offers_it_as_a_ref(distant, place, keys):
    assert known(distant) == [SERVICE_EMAIL]
    signers.add(place, keys["ann"], ANN)
    assert known(distant) == [SERVICE_EMAIL, ANN]


def test_the_last_file_seen_serves_while_the_server_is_away(distant, server):
    assert known(distant) == [SERVICE_EMAIL]
    server.rename(server.with_name("away"))
    assert known(distant) == [SERVICE_EMAIL]


def test_a_server_that_goes_back_to_an_older_file_is_not_believed(distant, server, place, keys, git):
    before = git(server, "rev-parse", TRUST)
    signers.add(place, keys["ann"], ANN)
    assert ANN in known(distant)
    git(server, "update-ref", TRUST, before)
    with pytest.raises(PushforwardError, match="went back to something older") as refused:
        known(distant)
    assert refused.value.next == f"git fetch local +{TRUST}:{TRUST}"
    git(distant, *refused.value.next.split()[1:])
    assert known(distant) == [SERVICE_EMAIL]


def test_a_server_elsewhere_that_is_none_says_so(distant, server, git):
    git(server, "update-ref", "-d", TRUST)
    with pytest.raises(PushforwardError, match="the git remote 'local' names no allowed signers"):
        known(distant)


@pytest.fixture
def forge(tmp_path, git, repository, keys):
    """A forge, whose main holds the file; a clone of it."""
    hub = tmp_path / "forge.git"
    git(tmp_path, "clone", "-q", "--bare", str(repository), str(hub))
    git(tmp_path, "clone", "-q", str(hub), "clone")
    clone = tmp_path / "clone"
    signers.add(Place(clone / ".github" / "allowed_signers", ("production",)), keys["ann"], ANN)
    git(clone, "add", "-A")
    git(clone, "commit", "-q", "-m", "Trust Ann")
    git(clone, "push", "-q", "origin", "HEAD")
    return clone


def test_on_a_forge_the_file_on_the_default_branch_counts_and_no_other(forge, git, keys):
    assert known(forge) == [ANN]
    signers.add(Place(forge / ".github" / "allowed_signers", ("production",)), keys["bob"], BOB)
    git(forge, "commit", "-q", "-a", "-m", "Trust Bob")
    git(forge, "push", "-q", "origin", "HEAD:refs/heads/topic")
    assert known(forge) == [ANN], "neither the work tree nor a branch"
    git(forge, "push", "-q", "origin", "HEAD")
    assert known(forge) == [ANN, BOB]


def test_a_ref_that_anybody_may_push_to_a_forge_counts_for_nothing(forge, git, server):
    git(server, "push", "-q", str(forge.with_name("forge.git")), f"{TRUST}:{TRUST}")
    assert known(forge) == [ANN]


def test_on_a_forge_a_shallow_clone_will_do(forge, git, tmp_path):
    git(tmp_path, "clone", "-q", "--depth=1", f"file://{tmp_path / 'forge.git'}", "shallow")
    assert known(tmp_path / "shallow") == [ANN]


def test_a_forge_without_the_file_is_told_how_to_make_it(tmp_path, repository, git):
    git(tmp_path, "clone", "-q", str(repository), "clone")
    with pytest.raises(PushforwardError, match="the git remote 'origin' names no allowed signers") as refused:
        known(tmp_path / "clone")
    assert "--file .github/allowed_signers" in refused.value.next


def test_a_forge_is_told_from_a_server_and_from_a_repository_of_ones_own(
    forge, server, distant, repository, git, tmp_path
):
    assert trust.is_forge(forge)
    assert not trust.is_forge(server)
    assert not trust.is_forge(distant), "what is called local is a server, wherever it is"
    git(tmp_path, "init", "-q", "alone")
    assert not trust.is_forge(tmp_path / "alone")
    git(tmp_path, "clone", "-q", str(server), "colleague")
    assert not trust.is_forge(tmp_path / "colleague")


def test_a_clone_without_a_remote_trusts_nobody(repository):
    with pytest.raises(PushforwardError, match="has no git remote, so nobody says whose signatures count"):
        known(repository)


@pytest.mark.parametrize("name", ["pushforward", "pushforward/allowed_signers"])
def test_a_file_that_anybody_may_change_counts_for_nothing(server, name):
    (server / name).chmod(0o777)
    with pytest.raises(PushforwardError, match="anybody may change"):
        known(server)


def test_a_server_without_the_file_says_so(server):
    (server / "pushforward" / "allowed_signers").unlink()
    with pytest.raises(PushforwardError, match="allowed_signers is missing"):
        known(server)


# Keys to sign with.


def test_the_key_of_a_job_is_a_file_for_as_long_as_it_is_needed(tmp_path, keys, allowed, monkeypatch):
    text = (tmp_path / "keys" / "ann").read_text()
    for given in (text, text.rstrip(), text.replace("\n", "\r\n")):
        monkeypatch.setenv(trust.VARIABLE, given)
        with trust.ci_key() as path:
            assert path.stat().st_mode & 0o777 == 0o600
            assert path.parent.stat().st_mode & 0o777 == 0o700
            trust.verify_file(b"x", trust.sign_file(b"x", path), ANN, allowed)
        assert not path.exists()


@pytest.mark.parametrize("text", ["", " \n", None])
def test_a_job_without_a_key_says_so(monkeypatch, text):
    if text is not None:
        monkeypatch.setenv(trust.VARIABLE, text)
    with pytest.raises(PushforwardError, match="PUSHFORWARD_SIGNING_KEY is not set"), trust.ci_key():
        pass


def test_a_job_whose_key_is_none_says_so_and_shows_nothing_of_it(tmp_path, monkeypatch):
    make = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "a passphrase", "-f", str(tmp_path / "locked")]
    subprocess.run(make, check=True)
    for text in ("hunter2", (tmp_path / "locked").read_text()):
        monkeypatch.setenv(trust.VARIABLE, text)
        with pytest.raises(PushforwardError, match="key without a passphrase") as refused, trust.ci_key():
            pass
        assert text[:7] not in str(refused.value)


def test_it_needs_nothing_but_the_standard_library():
    code = "import sys; before = set(sys.modules); import pushforward.registry.signers; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"pydantic", "numpy", "yaml", "click"}.intersection(done.stdout.split())
