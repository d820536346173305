"""Who signed a tag: the hook and whoever verifies it later give one answer, the stricter where there were two."""

import base64
import re
import time

import pytest
from tests import policy_server
from tests.policy_server import ANN, Server

from pushforward.errors import PushforwardError
from pushforward.git.repository import Repository
from pushforward.registry import ssh, trust

pytestmark = pytest.mark.whole

NAME = "toy#production#1"
# What the policy says next of a tag whose signature it has taken: there is no version here.
TAKEN = "it names a commit that no version names"


@pytest.fixture(scope="module")
def template(tmp_path_factory) -> Server:
    made = policy_server.made_once(policy_server.make, tmp_path_factory.mktemp("signature"))
    made.git("config", "receive.fsckObjects", "false", where=made.bare)  # git would refuse some of them before the hook
    return made


@pytest.fixture
def server(template, tmp_path) -> Server:
    return policy_server.copy(template, tmp_path / "server")


def tag_of(server, **options) -> str:
    return server.tag(NAME, server.git("rev-parse", "refs/heads/main"), **options)


def by_the_hook(server, tag) -> str:
    """Why the hook refuses the signature of a tag; "" where it takes it."""
    said = server.push(f"{tag}:refs/tags/{NAME}")
    why = re.search(rf"refs/tags/{NAME} refused: (.*?) *$", said.text, re.MULTILINE)
    assert why is not None, said.text
    return "" if why[1] == TAKEN else why[1]


def by_whoever_verifies(server, tag) -> str:
    """Why it does not count for the rest of the tool; "" where it does."""
    try:
        assert trust.verify_tag(Repository(server.clone), tag, NAME, server.signers).principal == ANN
    except PushforwardError as refused:
        return refused.message.removeprefix(f"{NAME}: ")
    return ""


def answer(server, tag) -> str:
    """What both say of it."""
    said = by_the_hook(server, tag)
    assert by_whoever_verifies(server, tag) == said
    return said


def line_of(server, who=ANN, before="") -> str:
    """The line of Ann's key, with a change."""
    key = " ".join(server.key(ANN).with_suffix(".pub").read_text().split()[:2])
    return ssh.Signer(who, key, frozenset({"any"}), before).line() + "\n"


def test_an_honest_tag_is_taken(server):
    assert answer(server, tag_of(server)) == ""


def test_what_is_dated_in_the_second_of_a_revocation_is_revoked(server):
    soon = int(time.time()) + 120  # the key holds as of now, so that the date alone decides
    server.signers.write_text(line_of(server, before=ssh.moment(soon)))
    assert answer(server, tag_of(server, when=soon - 1)) == ""
    at = ssh.moment(soon)
    assert answer(server, tag_of(server, when=soon)) == f"the key of {ANN} was revoked at {at}, and it is dated {at}"


@pytest.mark.parametrize(
    "options",
    [{"who": f"eve@example.org> <{ANN}"}, {"who": "", "key": ANN}, {"who": f"{ANN} x", "key": ANN}, {"when": 10**10}],
    ids=["two-addresses", "no-address", "a-blank-in-it", "date-of-eleven-digits"],
)
def test_a_tagger_has_one_address_and_a_date(server, options):
    assert answer(server, tag_of(server, **{"key": ANN} | options)) == "its tagger cannot be read"


def signature_of(kind: bytes) -> bytes:
    """A signature that names a key of that type, and is none."""
    key = b"".join(len(part).to_bytes(4, "big") + part for part in (kind, b"x" * 32))
    blob = b"SSHSIG\0\0\0\1" + len(key).to_bytes(4, "big") + key
    text = base64.b64encode(blob)
    lines = b"\n".join(text[at : at + 70] for at in range(0, len(text), 70))
    return ssh.BEGIN_SSH + lines + b"\n-----END SSH SIGNATURE-----\n"


@pytest.mark.parametrize("kind", ["ssh-dss", "ssh-ed25519-cert-v01@openssh.com", "ssh-new"])
def test_a_key_of_a_type_that_cannot_be_trusted_signs_nothing(server, kind):
    tag = tag_of(server, sign=lambda content: signature_of(kind.encode()))
    assert answer(server, tag) == "its signature is damaged, or something follows it"
    with server.signers.open("a") as file:
        file.write(f'eve@example.org namespaces="git,pushforward" {kind} AAAA may=any\n')
    number = len(server.signers.read_text().splitlines())
    honest = f"allowed_signers, line {number}: not a line that pushforward writes"
    assert answer(server, tag_of(server)) == honest


@pytest.mark.parametrize("kind", ["SSH SIGNATURE", "PGP SIGNATURE", "ANYTHING"])
@pytest.mark.parametrize("where", ["{}", "see {} there"], ids=["line", "in-a-line"])
def test_a_tag_holds_one_beginning_of_a_signature(server, kind, where):
    tag = tag_of(server, line=where.format(f"-----BEGIN {kind}-----"))
    assert answer(server, tag) == "its text holds what reads as the beginning of a signature"


@pytest.mark.parametrize("who", ["ann", "ann@example.org#x", "ann(at)@example.org", "ann@" + "x" * 300, "-a@x.org"])
def test_a_principal_is_an_address_that_git_and_openssh_take_as_it_stands(server, who):
    server.signers.write_text("# the keys\n" + line_of(server, who))
    tag = tag_of(server, who=who, key=ANN)
    assert answer(server, tag) == "allowed_signers, line 2: not a line that pushforward writes"
    server.trust()
    assert answer(server, tag) == f"no key can be trusted for the address {who[:120]!r}"


def test_a_key_stands_once(server):
    server.signers.write_text(line_of(server) * 2)
    assert answer(server, tag_of(server)) == "allowed_signers, line 2: a key twice"
