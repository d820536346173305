"""The lines of allowed signers, what a key may sign, and the key that a signature names."""

import subprocess

import pytest

from pushforward.errors import PushforwardError
from pushforward.git.environment import SERVICE_EMAIL
from pushforward.registry import ssh
from pushforward.registry.ssh import Signer

ANN, BOB = "ann@example.org", "bob@example.org"


@pytest.fixture
def keys(tmp_path):
    """Ann's and Bob's keys, in a folder of their own."""
    (tmp_path / "keys").mkdir()
    for name in ("ann", "bob"):
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(tmp_path / "keys" / name)]
        subprocess.run(command, check=True, capture_output=True)
    return {name: " ".join((tmp_path / "keys" / f"{name}.pub").read_text().split()[:2]) for name in ("ann", "bob")}


@pytest.mark.parametrize(
    "line",
    [
        "ann@example.org {key} may=any",
        'ann@example.org namespaces="git" {key} may=any',
        'ann@example.org namespaces="git,pushforward" valid-before="20261123120000Z" {key} may=any',
        'ann@example.org namespaces="git,pushforward",cert-authority {key} may=any',
        'ann@example.org,bob@example.org namespaces="git,pushforward" {key} may=any',
        '* namespaces="git,pushforward" {key} may=any',
        'ann@example.org namespaces="git,pushforward" {key} may=Any',
        'ann@example.org namespaces="git,pushforward" {key} may=any more',
        'ann@example.org namespaces="git,pushforward" ssh-dss AAAA may=any',
        "rubbish",
    ],
)
def test_a_line_of_another_form_is_named(keys, line):
    good = Signer(BOB, keys["bob"], frozenset({"any"})).line()
    with pytest.raises(PushforwardError, match="allowed_signers, line 3: not a line that pushforward writes"):
        ssh.read(f"# who may sign\n{good}\n{line.format(key=keys['ann'])}\n")


def test_a_key_twice_is_named(keys):
    line = Signer(BOB, keys["bob"], frozenset({"any"})).line()
    with pytest.raises(PushforwardError, match="line 2: a key twice"):
        ssh.read(f"{line}\n{line}\n")


def test_lines_comments_and_line_ends_are_read(keys):
    wanted = [
        Signer(SERVICE_EMAIL, keys["ann"], frozenset({"version"})),
        Signer(BOB, keys["bob"], frozenset({"production", "staging"}), "20261123120000Z"),
    ]
    assert ssh.read("# a comment\r\n\r\n" + "".join(f"{one.line()}\r\n" for one in wanted)) == wanted
    nothing = wanted[0].line().removesuffix(" may=version")
    assert ssh.read(nothing) == [Signer(SERVICE_EMAIL, keys["ann"], frozenset())]


def test_what_a_key_may_sign():
    def may(*words):
        return Signer(ANN, "ssh-ed25519 AAAA", frozenset(words))

    assert may("any").allows("production")
    assert not may("any").allows("version")
    assert may("staging").allows("staging")
    assert not may("staging").allows("production", auto=True)
    assert may("version").allows("version")
    assert may("version").allows("staging", auto=True)
    assert not may("version").allows("production")
    assert not may().allows("staging")


def test_the_fingerprint_is_that_of_ssh_keygen(tmp_path, keys):
    done = subprocess.run(
        ["ssh-keygen", "-l", "-f", str(tmp_path / "keys" / "ann.pub")], capture_output=True, text=True, check=True
    )
    assert ssh.fingerprint(keys["ann"]) == done.stdout.split()[1]


# What is signed.


def signed_by(tmp_path, content=b"x"):
    command = ["ssh-keygen", "-Y", "sign", "-n", "git", "-f", str(tmp_path / "keys" / "ann")]
    return subprocess.run(command, input=content, capture_output=True, check=True).stdout


def test_the_key_of_a_signature_is_the_one_that_made_it(tmp_path, keys):
    assert ssh.key_of(signed_by(tmp_path)) == keys["ann"]


@pytest.mark.parametrize(
    "change",
    [
        lambda armor: armor + b"\n",
        lambda armor: armor.rstrip(b"\n"),
        lambda armor: armor * 2,
        lambda armor: armor.replace(b"\n", b"\r\n"),
        lambda armor: armor.replace(b"U1NIU0lHAAAAAQ", b"U1NIU0lHAAAAAg"),
        lambda armor: armor.replace(b"SSH SIGNATURE", b"PGP SIGNATURE"),
    ],
    ids=["more", "cut", "twice", "carriage-returns", "version-two", "pgp"],
)
def test_what_is_not_one_whole_signature_names_no_key(tmp_path, keys, change):
    armor = signed_by(tmp_path)
    assert change(armor) != armor
    assert ssh.key_of(change(armor)) is None


COMMIT = b"tree 0\nauthor A <a@b> 1 +0000\ncommitter A <ann@example.org> 2 +0000\ngpgsig X\n Y\n\nWhy\n"


def test_a_commit_is_signed_without_its_signature():
    signed = ssh.commit(COMMIT)
    assert signed is not None
    assert (signed.email, signed.when, signed.signature) == (ANN, 2, b"X\nY\n")
    assert signed.content == COMMIT.replace(b"gpgsig X\n Y\n", b"")


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        COMMIT.replace(b"gpgsig X\n Y\n", b""),
        COMMIT.replace(b"gpgsig X\n", b"gpgsig Z\ngpgsig X\n"),
        COMMIT.replace(b"<ann@example.org> 2", b"<ann@example.org> 20000000000"),
    ],
    ids=["nothing", "unsigned", "twice", "a-date-of-eleven-digits"],
)
def test_a_commit_that_is_not_signed_once_is_not_signed(raw):
    assert ssh.commit(raw) is None


@pytest.mark.parametrize(
    ("message", "word"),
    [
        (b"Pushforward-Override: a bug\n", "a bug"),
        (b"Merge\n\nPushforward-Override: \nPushforward-Override:  why  \n", "why"),
        (b"About Pushforward-Override: and who may\n", ""),
        (b"Pushforward-Override: \n", ""),
        (b"", ""),
    ],
)
def test_a_word_is_a_line_of_the_message_with_a_reason(message, word):
    assert ssh.word_in(b"tree 0\nPushforward-Override: in the head\n\n" + message) == word
