"""The policy over real ssh: Debian's sshd on a free port of this machine, with a key that may run git-shell alone.

Over a path a pusher is the server's own user, and can leave the hook out; over ssh he cannot. Needs openssh-server:
installed with apt where the tests run as root, else these tests skip and say so.
"""

import getpass
import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests import policy_server
from tests.policy_server import ANN, EVE, Pushed, Released

pytestmark = pytest.mark.whole

SBIN = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"
WAIT_SECONDS = 20.0


def find_sshd() -> str:
    found = shutil.which("sshd", path=SBIN)
    if found is None and os.geteuid() == 0 and shutil.which("apt-get"):
        for command in (["update", "-qq"], ["install", "-y", "-qq", "--no-install-recommends", "openssh-server"]):
            env = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
            subprocess.run(["apt-get", *command], capture_output=True, check=False, env=env, timeout=300)
        found = shutil.which("sshd", path=SBIN)
    if found is None:
        pytest.skip("NOT TESTED over ssh: there is no sshd; apt-get install openssh-server")
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # sshd wants it, and its service is not started here
    return found


@dataclass
class Remote:
    """A released server behind sshd, and how to reach it."""

    released: Released
    url: str
    command: str

    def push(self, *specs: str, options: tuple[str, ...] = (), **env: str) -> Pushed:
        env |= {"GIT_SSH_COMMAND": self.command}
        return self.released.server.push(*specs, url=self.url, options=options, **env)

    def refused(self, golden: str, *specs: str, **env: str) -> str:
        before = self.released.server.snapshot()
        return self.released.server.check_refused(golden, self.push(*specs, **env), before)


@pytest.fixture(scope="module")
def remote(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Remote]:
    sshd = find_sshd()
    folder = tmp_path_factory.mktemp("ssh")
    released: Released = policy_server.made_once(policy_server.release, folder)
    server = released.server
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / "host")], check=True)
    public = server.key(ANN).with_suffix(".pub").read_text()
    (folder / "authorized").write_text(f'restrict,command="git-shell -c \\"$SSH_ORIGINAL_COMMAND\\"" {public}')
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (folder / "config").write_text(
        f"ListenAddress 127.0.0.1:{port}\nHostKey {folder}/host\nAuthorizedKeysFile {folder}/authorized\n"
        "PidFile none\nStrictModes no\nUsePAM no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n"
        "PermitRootLogin forced-commands-only\n"
    )
    host = (folder / "host.pub").read_text()
    (folder / "known").write_text(f"[127.0.0.1]:{port} {host}")
    with (folder / "log").open("wb") as log:
        daemon = subprocess.Popen([sshd, "-D", "-e", "-f", str(folder / "config")], stderr=log)
        try:
            until = time.monotonic() + WAIT_SECONDS
            while b"Server listening" not in (folder / "log").read_bytes():
                assert daemon.poll() is None, (folder / "log").read_text()
                assert time.monotonic() < until, (folder / "log").read_text()
                time.sleep(0.02)
            command = (
                f"ssh -F none -p {port} -i {server.key(ANN)} -o IdentitiesOnly=yes -o BatchMode=yes"
                f" -o UserKnownHostsFile={folder}/known -o StrictHostKeyChecking=yes"
            )
            yield Remote(released, f"ssh://{getpass.getuser()}@127.0.0.1:{port}{server.bare}", command)
        finally:
            daemon.terminate()
            daemon.wait(WAIT_SECONDS)


def test_a_branch_and_a_signed_release_are_taken(remote):
    server, commits = remote.released.server, remote.released.commits
    tip = server.follow(commits["E"], {"README.md": b"over ssh\n"})
    said = remote.push(f"{tip}:refs/heads/over-ssh", f"{tip}:refs/heads/main")
    assert said.taken, said.text
    config = ("-c", "gpg.format=ssh", "-c", f"user.signingkey={server.key(ANN)}.pub")
    record = json.dumps({"schema": 2, "version": "toy@v1.1.0", "reason": "again", "by": ANN})
    now = {"GIT_COMMITTER_DATE": f"{int(time.time())} +0000"}
    server.git(*config, "tag", "-s", "-m", f"again\n\n{record}", "toy#production#3", commits["B"], **now)
    said = remote.push("refs/tags/toy#production#3")
    assert said.taken, said.text
    assert "refs/tags/toy#production#3" in server.snapshot()[0]


def test_a_forged_release_is_refused_in_the_same_words(remote):
    server, commits = remote.released.server, remote.released.commits
    name = "toy#canary#1"
    for golden, options in {
        "ssh-unknown-key": {"who": EVE},
        "ssh-spoofed": {"key": EVE},
        "ssh-unsigned": {"key": None},
    }.items():
        made = server.tag(name, commits["B"], **options)
        remote.refused(golden, f"{commits['E']}:refs/heads/fine", f"{made}:refs/tags/{name}")


def test_the_token_of_the_server_does_not_travel(remote):
    token = (remote.released.server.bare / "pushforward" / "token").read_text().strip()
    remote.refused("ssh-token", *remote.released.promotion().specs(), PUSHFORWARD_TOKEN=token)


def test_a_pusher_cannot_leave_the_hook_out(remote):
    """Over a path this works, which is why a path is for one's own machine."""
    server, commits = remote.released.server, remote.released.commits
    before = server.snapshot()
    trick = ("--receive-pack=git -c core.hooksPath=/dev/null receive-pack",)
    assert not remote.push(f"{commits['E']}:refs/heads/-bad", options=trick).taken
    assert server.snapshot() == before
