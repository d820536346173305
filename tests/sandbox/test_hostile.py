"""A hostile branch: its code is really run, as a server runs what it does not trust, and gets nowhere.

Every attack ends within its limits, leaves nothing behind, and the next run works. In each kind of jail; skipped where
one does not work.
"""

import contextlib
import hashlib
import os
import re
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from pushforward.actions import act as run
from pushforward.actions import artifacts as artifact_folder
from pushforward.actions import runlog, supervisor, workflow
from pushforward.actions.event import Event, Repository
from pushforward.actions.lint import STAND_INS
from pushforward.actions.log import Progress
from pushforward.actions.result import WorkflowResult
from pushforward.errors import PushforwardError
from pushforward.sandbox import jail
from pushforward.sandbox.jail import Jail, Limits, Policy
from pushforward.text import clean

pytestmark = pytest.mark.whole

USES = {name.partition("/")[2]: f"{name}@{sha}" for name, sha in STAND_INS.items()}
MIB = 1 << 20
CANARY = "canary-5f1d"
HONEST = "cat data; echo honest >out"
UNKNOWN = "1" * 40


def job(*scripts: str, extra: str = "") -> str:
    """A workflow that checks the branch out, runs scripts as steps and uploads the file `out`."""
    steps = "".join(
        f"      - name: step {number}\n        run: |\n{textwrap.indent(textwrap.dedent(script).strip(), ' ' * 10)}\n"
        for number, script in enumerate(scripts)
    )
    return (
        "on: [push, pull_request]\ndefaults: {run: {shell: bash}}\njobs:\n  one:\n"
        f"    runs-on: ubuntu-latest\n{extra}    steps:\n      - {{uses: {USES['checkout']}}}\n{steps}"
        f"      - {{uses: {USES['upload-artifact']}, with: {{name: out, path: out}}}}\n"
    )


def contents(*folders: Path) -> dict[str, tuple[int, int, str]]:
    """Owner, mode and SHA-256 of every file below the folders, but those of runs."""
    found = {}
    for folder in folders:
        for path in [folder, *folder.rglob("*")]:
            if "runs" not in path.parts:
                state = path.lstat()
                digest = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
                found[str(path)] = (state.st_uid, state.st_mode, digest)
    return found


@dataclass
class Site:
    """A server with everything that a branch must not touch, and runs of a branch on it."""

    folder: Path
    cage: Jail
    count: int = 0
    seen: list[Progress] = field(default_factory=list)
    before: dict[str, tuple[int, int, str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.bare, self.clone = self.folder / "srv" / "flights.git", self.folder / "clone"
        self.store, self.home = self.folder / "store", self.folder / "home"
        self.cache = self.bare / "pushforward" / "cache"
        self.git("init", "-q", "--bare", "-b", "main", str(self.bare), cwd=self.folder)
        self.git("clone", "-q", str(self.bare), str(self.clone), cwd=self.folder)
        secrets = ("token", "seal", "keys/ci", "cache/files/md5/ab/cdef", "cache/runs/ab/cd")
        paths = [self.bare / "pushforward" / name for name in secrets]
        for path in (*paths, self.store / "files/md5/ab/cdef", self.home / ".ssh/id_ed25519", self.home / ".netrc"):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(CANARY)
            path.chmod(0o600)
        # as with umask 077: nobody but the server's user may look into it
        for folder in (self.folder, self.bare.parent, self.bare, self.store, self.home):
            folder.chmod(0o700)

    def git(self, *args: str, cwd: Path | None = None) -> str:
        """Run git in the clone; its output."""
        identity = ["-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "init.defaultBranch=main"]
        done = subprocess.run(
            ["git", *identity, *args], cwd=cwd or self.clone, capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    def commit(self, files: dict[str, str], branch: str) -> str:
        """Commit files on a branch that starts afresh, and push it."""
        self.git("checkout", "-q", "--orphan", f"new-{time.monotonic_ns()}")
        self.git("rm", "-rfq", "--ignore-unmatch", ".")
        for name, text in {"data": "1\n", **files}.items():
            path = self.clone / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
            path.chmod(0o755)
        self.git("add", "-Af")
        self.git("commit", "-q", "-m", "a change")
        self.git("push", "-qf", "origin", f"HEAD:refs/heads/{branch}")
        return self.git("rev-parse", "HEAD")

    def attack(
        self,
        text: str,
        *,
        files: dict[str, str] | None = None,
        branch: str = "topic",
        trusted: bool = False,
        limits: Limits | None = None,
        limit: float = 60.0,
    ) -> WorkflowResult:
        """Run a workflow of a branch: as a dispatcher does, with what it may touch; `trusted`, as it runs a judge."""
        commit = self.commit({".github/workflows/ci.yml": text, **(files or {})}, branch)
        self.count += 1
        self.seen.clear()
        place = self.bare / "pushforward" / "runs" / str(self.count)
        (place / "cache").mkdir(parents=True)
        (place / "dvc.config").write_text(f"[cache]\n    dir = {place / 'cache'}\n")
        keys = self.bare / "pushforward" / "keys"
        policy = Policy(
            writable=(place / "cache",),
            readable=(self.store, Path(sys.prefix)),
            hidden=(keys,),
            untrusted=True,
            limits=limits or Limits(),
        )
        if trusted:
            policy = replace(policy, writable=(self.cache, self.bare), untrusted=False)
        self.before = contents(self.bare, self.store, self.home)
        return run.run_workflow(
            workflow.load("ci.yml", text),
            Event(
                "pull_request",
                commit,
                "refs/pull/1/merge",
                action="opened",
                number=1,
                base="main",
                base_sha=commit,
                head=branch,
                head_sha=commit,
            ),
            run.Setup(
                repository=Repository(self.bare, "acme/flights"),
                folder=place / "ci.yml",
                artifacts=self.artifacts,
                jail=self.cage,
                policy=policy,
                run_id=41,
                env={"PUSHFORWARD_DVC_CONFIG": str(place / "dvc.config")},
                limit=limit,
            ),
            on_event=self.seen.append,
        )

    @property
    def artifacts(self) -> Path:
        """What the last run has handed over."""
        return self.bare / "pushforward" / "runs" / str(self.count) / "artifacts"

    @property
    def output(self) -> str:
        """What the last run has said."""
        return "\n".join(progress.text for progress in self.seen if progress.kind == "output")

    def still_works(self) -> None:
        """The next run, of an honest branch, succeeds."""
        result = self.attack(job(HONEST))
        assert (result.conclusion, result.errors) == ("success", ())
        assert (self.artifacts / "out/out").read_text() == "honest\n"


CAGES = ["bubblewrap", "unshare", "bubblewrap as the server", "unshare as the server"]


@pytest.fixture(params=["the best"])
def cage(request: pytest.FixtureRequest) -> Jail:
    """A kind of jail, with a user of its own for the branch where this machine can."""
    if request.param == "the best":
        found = jail.find(trust=True)
        if found.kind == "none":
            pytest.skip("NOT TESTED HERE: nothing on this machine isolates runs")
        return found
    kind, _, server = request.param.partition(" as ")
    for found in (Jail(kind, 0 if server else jail.nobody()), Jail(kind)):
        if not (failure := jail.failure_of(found)):
            return found
    pytest.skip(f"NOT TESTED HERE: {failure}")


@pytest.fixture
def site(cage: Jail, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    made = Site(tmp_path, cage)
    monkeypatch.setenv("CANARY", CANARY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", CANARY)
    monkeypatch.setenv("HOME", str(made.home))
    return made


every_cage = pytest.mark.parametrize("cage", CAGES, indirect=True)


@pytest.fixture
def listeners() -> Iterator[list[tuple[str, int]]]:
    """Servers that wait for a visitor, on loopback and on an address of this host."""
    with contextlib.ExitStack() as stack:
        found = []
        for host in ("127.0.0.1", host_address()):
            server = stack.enter_context(socket.create_server((host, 0)))
            found.append(server.getsockname()[:2])
        yield found


def host_address() -> str:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # nothing is sent: it only chooses the address
        except OSError:
            return "127.0.0.2"
        return str(probe.getsockname()[0])


def alive(mark: str) -> list[str]:
    """The processes of this machine with `mark` in their command."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            command = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
            if mark in command and path.parent.name != str(os.getpid()):
                found.append(command)
    return found


def wait_until(condition: Callable[[], bool], seconds: float = 5.0) -> bool:
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


@every_cage
@pytest.mark.ml_test_score("Data 5")
def test_it_reads_no_secret_and_reaches_no_network(site: Site, listeners: list[tuple[str, int]]) -> None:
    dials = "\n".join(f"(: </dev/tcp/{host}/{port}) && echo REACHED" for host, port in listeners)
    script = f"""
    exec 2>/dev/null; set +e
    env; cat /proc/*/environ; cat /proc/*/cmdline | tr '\\0' ' ' | grep -o canary
    cat {site.home}/.netrc {site.home}/.ssh/* ~root/.ssh/* /etc/shadow
    find "$PUSHFORWARD_REPOSITORY"/pushforward -maxdepth 2
    cat "$PUSHFORWARD_REPOSITORY"/pushforward/* "$PUSHFORWARD_REPOSITORY"/pushforward/keys/* {site.cache}/files/md5/ab/*
    for pid in /proc/[0-9]*; do cat $pid/root/{site.home}/.netrc $pid/cwd/../../../token; done
    {dials.replace(chr(10), chr(10) + "    ")}
    (: </dev/tcp/10.0.0.1/80) && echo REACHED
    ls /run /var/run/docker.sock /var/spool /root /home
    env | grep -iE 'token|secret|key' | grep -v GITHUB_TOKEN=
    echo still here
    """
    result = site.attack(job(script, HONEST))
    assert result.conclusion == "success", result.errors
    lines = site.output
    assert "still here" in lines
    assert "canary" not in lines
    assert CANARY not in result.log.read_text() + (result.log.parent / "log.jsonl").read_text()
    for word in ("REACHED", "docker.sock", "token"):
        assert word not in lines, word


@every_cage
def test_it_writes_nothing_that_others_read(site: Site) -> None:
    commit = site.commit({}, "main")
    script = f"""
    exec 2>&1; set +e
    bare="$PUSHFORWARD_REPOSITORY"
    git push origin HEAD:refs/heads/main --force && echo WROTE
    git push "$bare" HEAD:refs/tags/flights@v9.9.9 && echo WROTE
    git --git-dir="$bare" update-ref refs/heads/main HEAD && echo WROTE
    git --git-dir="$bare" update-ref refs/pushforward/run/{commit} HEAD && echo WROTE
    git --git-dir="$bare" notes --ref=refs/notes/pushforward add -m forged {commit} && echo WROTE
    git --git-dir="$bare" config core.hooksPath /tmp && echo WROTE
    git --git-dir="$bare" hash-object -w data && echo WROTE
    for file in config HEAD packed-refs hooks/post-receive objects/info/alternates refs/heads/main pushforward/token \
      pushforward/dispatch.lock pushforward/registry.json pushforward/allowed_signers; do
      mkdir -p "$(dirname "$bare/$file")"; echo evil >>"$bare/$file" && echo WROTE $file
    done
    for file in {site.store}/files/md5/ab/cdef {site.store}/new {site.cache}/files/md5/ab/cdef \
      {site.cache}/runs/ab/cd {site.home}/.bashrc {sys.prefix}/lib/evil.pth {sys.prefix}/bin/act /usr/bin/git \
      /etc/passwd /dev/shm/../sda; do
      echo evil >>$file && echo WROTE $file
      rm -f $file && [ ! -e $file ] || :
    done
    find {site.store} "$bare" -type f -not -path '*/runs/*' | while read file; do
      chmod 777 "$file" && echo CHANGED; ln "$file" hard && echo LINKED; rm -f hard
      truncate -s 0 "$file" && echo WROTE; mv "$file" "$file.gone" && echo MOVED
    done
    mount --bind /tmp "$bare" && echo MOUNTED; umount -l "$bare" && echo MOUNTED
    unshare -Ur mount -t tmpfs none "$bare" && echo MOUNTED
    rm -rf "$bare"/[a-o]* "$bare"/refs {site.store} {site.home}
    echo still here
    """
    result = site.attack(job(script))
    assert "still here" in site.output
    for word in ("WROTE", "CHANGED", "LINKED", "MOVED", "MOUNTED"):
        assert word not in site.output, site.output
    assert contents(site.bare, site.store, site.home) == site.before
    assert site.git("rev-parse", "refs/heads/main", cwd=site.bare) == commit
    site.git("fsck", "--strict", cwd=site.bare)
    assert result.log.parent.is_dir()
    site.still_works()


@every_cage
def test_it_leaves_no_process(site: Site) -> None:
    mark = f"98765.{site.count}{os.getpid()}"
    script = f"""
    setsid nohup sleep {mark} >/dev/null 2>&1 </dev/null &
    (setsid sh -c 'trap "" HUP INT TERM; (sleep {mark} &) ; sleep {mark}' &) >/dev/null 2>&1 </dev/null
    python3 -c 'import os, time
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            os.execvp("sleep", ["sleep", "{mark}"])' || true
    sleep 0.3
    """
    result = site.attack(job(textwrap.dedent(script)))
    assert result.conclusion == "success", result.errors
    assert wait_until(lambda: not alive(mark), 2)
    site.still_works()


@every_cage
def test_its_processes_are_bounded(site: Site) -> None:
    """Two hundred children, each of which ends by itself: the limit is reached before the last of them."""
    if site.cage == Jail("bubblewrap") and os.geteuid() == 0:
        pytest.skip("no limit of processes binds root there: what is taken only where nothing else works")
    mark = f"child{time.monotonic_ns()}"
    children = f"""
    python3 -c 'import os, sys, time
    for made in range(200):
        try: child = os.fork()
        except OSError: sys.exit(f"only {{made}} of {mark}")
        if not child:
            time.sleep(20)
            os._exit(0)
    time.sleep(20)'
    """
    started = time.monotonic()
    result = site.attack(job(textwrap.dedent(children)), limits=Limits(processes=150), limit=8)
    assert time.monotonic() - started < 30
    assert result.conclusion in {"failure", "timed-out"}
    if said := re.search(rf"only (\d+) of {mark}", site.output):
        assert int(said[1]) < 150
    else:
        assert "processes" in result.errors[-1]
    assert subprocess.run(["/bin/true"], check=False).returncode == 0
    assert wait_until(lambda: not alive(mark), 2)
    site.still_works()


@every_cage
def test_its_memory_is_bounded_in_each_process_and_in_all_of_them(site: Site) -> None:
    limits = Limits(memory=600 * MIB)
    one = site.attack(job("python3 -c 'bytearray(900 << 20)'"), limits=limits)
    assert one.conclusion == "failure"
    assert "MemoryError" in site.output
    eater = "python3 -c 'import time; x = bytearray(b\"1\" * (200 << 20)); time.sleep(30)' &\n"
    many = site.attack(job(eater * 5 + "sleep 30"), limits=limits)
    assert many.errors[-1] == "the run took more than 600 MiB of memory"
    assert many.seconds < 20


def test_where_memory_runs_out_the_run_ends_before_the_server(site: Site) -> None:
    site.attack(job("echo -900 >/proc/self/oom_score_adj || :; cat /proc/self/oom_score_adj"))
    assert site.output.split()[-1] == str(jail.OOM_SCORE)


@pytest.mark.parametrize("cage", ["the best", "unshare as the server"], indirect=True)
def test_what_it_writes_on_disk_is_bounded(site: Site) -> None:
    script = """
    for i in $(seq 60); do n=$(printf %0100d $i) && mkdir $n && cd $n; done
    for i in $(seq 30); do head -c 20M /dev/zero >$i || exit 1; sleep 0.02; done
    sleep 20
    """
    result = site.attack(job(script), limits=Limits(disk=300 * MIB))
    assert result.errors[-1] == "the run wrote more than 300 MiB"
    assert result.seconds < 30
    assert not (result.log.parent / "box").exists()
    site.still_works()


def test_it_ends_before_the_disk_is_full(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    full = os.statvfs_result((4096, 4096, 10**6, 10**3, 10**3, 10**6, 10**6, 10**6, 0, 255))
    monkeypatch.setattr(os, "statvfs", lambda _: full)
    result = site.attack(job("sleep 30"))
    assert "is nearly full" in result.errors[-1]


@pytest.mark.parametrize("script", ["head -c 64M /dev/zero | tr '\\0' x", "while :; do echo ::warning::x; done"])
def test_its_log_is_bounded(site: Site, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "MAX_READ", 20 * MIB)
    monkeypatch.setattr(runlog, "MAX_LOG", MIB)
    monkeypatch.setattr(runlog, "MAX_TOLD", MIB)
    result = site.attack(job(script), limits=Limits(memory=2048 * MIB), limit=60)
    assert result.conclusion in {"failure", "success"}
    for path in result.log.parent.glob("log.*"):
        assert path.stat().st_size < 2 * MIB
    assert sum(len(progress.text) for progress in site.seen) < 2 * MIB


def test_masks_of_its_own_neither_slow_the_server_nor_hide_how_it_ended(site: Site) -> None:
    script = "echo ::add-mask::s; echo ::add-mask::success; seq -f '::add-mask::m%06g' 5000; seq 5000; exit 1"
    result = site.attack(job(script))
    assert result.conclusion == "failure"
    site.still_works()


def test_it_cannot_sleep_for_ever(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "GRACE", 0.5)
    result = site.attack(job("trap '' INT TERM HUP; while :; do sleep 1000; done"), limit=1.5)
    assert result.conclusion == "timed-out"
    assert result.seconds < 8
    site.still_works()


def test_what_it_does_to_its_later_steps_reaches_no_other_run(site: Site) -> None:
    poison = """
    mkdir -p bin; printf '#!/bin/sh\\necho HIJACKED; exit 0\\n' | tee bin/git bin/python bin/python3 >bin/pushforward
    chmod +x bin/*; echo 'echo HIJACKED' >env.sh
    echo "$PWD/bin" >>"$GITHUB_PATH"
    for name in LD_PRELOAD PYTHONPATH PYTHONSTARTUP NODE_OPTIONS GIT_CONFIG_GLOBAL GIT_SSH_COMMAND DVC_GLOBAL_CONFIG_DIR
    do echo "$name=/evil" >>"$GITHUB_ENV"; done
    echo "BASH_ENV=$PWD/env.sh" >>"$GITHUB_ENV"
    echo "PUSHFORWARD_TOKEN=forged" >>"$GITHUB_ENV"
    echo "PUSHFORWARD_ARTIFACTS=/tmp" >>"$GITHUB_ENV"
    echo '::set-env name=EVIL::1'; echo '::add-path::/evil'; echo '::save-state name=x::y'
    echo 'source ~/env.sh' | tee ~/.bashrc ~/.profile ~/.bash_profile >/dev/null; cp env.sh ~/
    """
    site.attack(job(poison, "true"))
    judge = "env; cat ~/.bashrc 2>/dev/null || :; type -p git; git --version"
    for trusted in (True, False):
        result = site.attack(job(judge), trusted=trusted)
        assert result.conclusion == "success"
        for word in ("HIJACKED", "/evil", "forged", "EVIL"):
            assert word not in site.output, word


def test_no_file_of_its_tree_configures_the_server(site: Site) -> None:
    lines = "--env GITHUB_REPOSITORY=evil/evil\n--env EVIL=1\n-P ubuntu-latest=evil\n"
    composite = "runs: {using: composite, steps: [{run: echo SHADOWED, shell: bash}]}\n"
    shadows = ("actions/checkout", ".github/actions/checkout", "actions+checkout", f"act/{USES['checkout']}")
    files = {
        **dict.fromkeys((".env", ".secrets", ".vars", ".input"), "EVIL=evil\n"),
        ".actrc": lines,
        ".github/.actrc": lines,
        ".gitattributes": "tests export-ignore\ntests/** export-ignore\n.github/** export-ignore\n* filter=evil\n",
        ".gitconfig": '[filter "evil"]\n\tsmudge = touch PWNED\n[core]\n\tfsmonitor = touch PWNED\n',
        ".githooks/post-checkout": "#!/bin/sh\ntouch PWNED\n",
        "hooks/post-checkout": "#!/bin/sh\ntouch PWNED\n",
        ".dvc/config": "[cache]\n    dir = /evil\n",
        "tests/test_one.py": "",
        "sitecustomize.py": "print('SHADOWED')\n",
        "pushforward/__init__.py": "print('SHADOWED')\n",
        **{f"{folder}/action.yml": composite for folder in shadows},
    }
    script = 'echo "[$EVIL${{ secrets.EVIL }}${{ vars.EVIL }}] $GITHUB_REPOSITORY"; ls tests; cat .dvc/config.local; ls'
    result = site.attack(job(script), files=files)
    assert result.conclusion == "success", result.errors
    assert "[] acme/flights" in site.output
    assert "test_one.py" in site.output
    assert f"dir = {site.bare}/pushforward/runs" in site.output
    for word in ("PWNED", "SHADOWED"):
        assert word not in site.output


def test_git_settings_of_its_checkout_are_never_read_outside(site: Site) -> None:
    script = f"""
    evil="touch {site.home}/PWNED $PUSHFORWARD_ARTIFACTS/PWNED"
    git config core.fsmonitor "$evil"; git config core.hooksPath "$PWD/hooks"; git config core.sshCommand "$evil"
    git config --global core.fsmonitor "$evil"; git config --global alias.log "!$evil"
    cp -r .git "$PUSHFORWARD_ARTIFACTS/train"; cp -r .git "$PUSHFORWARD_ARTIFACTS/train/.git"
    """
    site.attack(job(script))
    subprocess.run(["git", "status"], cwd=site.bare, check=False, capture_output=True)
    assert not (site.home / "PWNED").exists()
    assert not (site.artifacts / "PWNED").exists()
    site.still_works()


@pytest.mark.parametrize("branch", ["x;$(touch${IFS}PWNED)", "-rf", "--help", "a`id`b", "é"])
def test_the_name_of_its_branch_is_never_executed(site: Site, branch: str) -> None:
    text = job('echo "$NAME"; git log -1 --format=%s', extra="    env: {NAME: '${{ github.head_ref }}'}\n")
    with contextlib.suppress(subprocess.CalledProcessError):  # git itself refuses some
        assert site.attack(text, branch=branch).conclusion == "success"
        assert clean(branch) in site.output
    assert not list(site.folder.rglob("PWNED"))


DEEP = """python3 -c 'import os; [(os.mkdir("a"), os.chdir("a")) for _ in range(60)]'"""
HAND_OVERS = {
    "links": 'ln -s /etc/passwd one; ln -s .. two; ln -s "$PUSHFORWARD_REPOSITORY" three; mkfifo four; echo 1 >plain',
    "sockets": "python3 -c 'import socket as s; s.socket(s.AF_UNIX).bind(\"five\")'; echo 1 >plain; chmod 000 plain",
    "rights": "echo 1 >plain; chmod 7777 plain; mkdir -p a/b; chmod 000 a/b a",
    "depth": DEEP,
    "length": "n=$(printf %0250d 0); for i in $(seq 30); do mkdir $n && cd $n; done",
    "number": "seq 11000 | xargs touch",
    "size": "truncate -s 3G plain",
}


@pytest.mark.parametrize("cage", ["the best", "unshare as the server"], indirect=True)
@pytest.mark.parametrize("trick", HAND_OVERS)
def test_what_it_hands_over_is_plain_files_of_the_servers_user(site: Site, trick: str) -> None:
    script = (
        f'set +e; mkdir -p "$PUSHFORWARD_ARTIFACTS/train" && cd "$PUSHFORWARD_ARTIFACTS/train"\n{HAND_OVERS[trick]}'
    )
    result = site.attack(
        job(f"{script}\n:", f'cd "$PUSHFORWARD_REPOSITORY/.."; cd "$PUSHFORWARD_ARTIFACTS/.."\n{HONEST}')
    )
    left = list(artifact_folder.below(site.artifacts))
    for path in left:
        mode = path.lstat().st_mode
        assert path.lstat().st_uid == os.getuid()
        assert mode & 0o777777 in ({0o100644} if path.is_file() else {0o040755}), oct(mode)
        assert not path.is_symlink()
    if trick in {"depth", "length", "number", "size"}:
        assert left == []
        assert result.conclusion == "failure"
        assert "artifacts" in result.errors[-1]


def test_a_private_cache_nested_without_end_can_be_deleted(site: Site) -> None:
    script = f"cd {site.bare}/pushforward/runs/1/cache; {DEEP}"
    result = site.attack(job(script))
    assert "folders in one another in cache" in result.errors[-1]
    assert list((site.bare / "pushforward/runs/1/cache").iterdir()) == []


@pytest.mark.parametrize(
    ("part", "why"),
    [
        ("container: alpine", "container"),
        ("services: {db: {image: postgres}}", "services"),
        ("steps: [{uses: 'docker://alpine:3'}]", "docker"),
        ("steps: [{uses: 'evil/action@main'}]", "pin it"),
        ("steps: [{uses: ./../../outside}]", "outside"),
        ("uses: ./.github/../../outside.yml", "outside"),
        (f"uses: evil/repo/.github/workflows/x.yml@{UNKNOWN}", "evil"),
    ],
)
def test_what_would_leave_the_jail_or_be_skipped_silently_is_refused(site: Site, part: str, why: str) -> None:
    runs_on = "" if part.startswith("uses") else "runs-on: ubuntu-latest, "
    steps = "" if part.startswith(("steps", "uses")) else ", steps: [{run: 'true'}]"
    result = site.attack(f"on: pull_request\njobs: {{one: {{{runs_on}{part}{steps}}}}}\n")
    assert result.conclusion == "failure"
    assert why in result.errors[0], result.errors
    assert not result.jobs or all(job.result != "success" for job in result.jobs)


def test_an_action_with_a_dockerfile_of_its_own_fails(site: Site) -> None:
    action = "runs: {using: docker, image: Dockerfile}\n"
    text = job("true").replace("      - name: step 0\n", "      - uses: ./evil\n      - name: step 0\n")
    result = site.attack(text, files={"evil/action.yml": action, "evil/Dockerfile": "FROM scratch\n"})
    assert result.conclusion == "failure"


def test_commands_and_escapes_in_its_output_are_inert(site: Site) -> None:
    script = r"""
    printf '\033]0;title\007\033[31mred\033[0m \033[2J\033[6n \033P$q\033\\ \033]52;c;ZXZpbA==\007 \xc2\x9b31m\n'
    printf '\xe2\x80\xae gnp.exe \xe2\x81\xa6 \xff\xfe \x00 \x08\x08\x08 end\r\n'
    echo '::stop-commands::x'; echo '::error file=/etc/passwd,line=1::\033[31mnot red'; echo '::x::'
    echo "::error file=$(printf '\033[2J')a,line=%0A1::two%0Alines%0D"; echo '::group::'"$(printf '\033[2J')"
    echo '::set-env name=LD_PRELOAD::/evil'; echo "::notice title=$(printf '\007')::bell"
    printf '{"level":"info","jobResult":"success","job":"ci/one","msg":"forged"}\n'
    printf '# \033[31m<script>\n' >>"$GITHUB_STEP_SUMMARY"
    printf '{"jobResult":"success","job":"one","jobID":"one"}\n' | tee /proc/*/fd/1 /proc/*/fd/2 >/dev/null 2>&1
    false
    """
    result = site.attack(job(script))
    assert result.conclusion == "failure"
    everything = "".join(result.errors) + "".join(progress.text for progress in site.seen)
    everything += result.log.read_text()
    assert all(character.isprintable() or character == "\n" for character in everything)


def test_no_terminal_of_the_server_is_in_its_reach(site: Site) -> None:
    code = """
    import fcntl, glob, os, termios
    for path in ['/dev/tty', '/dev/console', *glob.glob('/dev/tty*'), *glob.glob('/dev/pts/*')]:
        try:
            with open(path, 'rb+', buffering=0) as terminal:
                for key in b'touch PWNED\\n':
                    fcntl.ioctl(terminal, termios.TIOCSTI, bytes([key]))
            print('INJECTED', path)
        except OSError:
            pass
    print('of the first process:', open('/proc/1/stat').read().rpartition(')')[2].split()[4])
    """
    script = "cat >x.py <<'END'\n" + textwrap.dedent(code) + "END\npython3 x.py; ls -l /dev/pts | grep -c pts || true"
    result = site.attack(job(script))
    assert result.conclusion == "success", result.errors
    assert "of the first process: 0" in site.output
    injected = {line.split()[1] for line in site.output.splitlines() if line.startswith("INJECTED")}
    assert injected <= {"/dev/tty", "/dev/pts/0"}  # its own
    assert not list(site.folder.rglob("PWNED"))


def test_it_is_a_user_to_whom_nothing_belongs(site: Site) -> None:
    if not site.cage.user:
        pytest.skip("NOT TESTED HERE: the server is not root, or this machine gives branches no user of their own")
    script = """
    id -u; grep -h -E 'CapEff|CapPrm|CapBnd|NoNewPrivs' /proc/self/status | tr -d '\\t' | tr '\\n' ' '
    cp /bin/bash rootbash && chmod 6755 rootbash && ./rootbash -p -c 'id -u'
    unshare -Ur id -u || echo no namespace; su -c id </dev/null || echo no su
    kill -9 1 2>/dev/null || echo no signal
    touch /tmp/x /dev/shm/x; python3 -c 'import multiprocessing as m; m.Lock(); print("locks")'
    """
    result = site.attack(job(textwrap.dedent(script), HONEST))
    assert result.conclusion == "success", result.errors
    said = site.output
    assert said.count(str(site.cage.user)) >= 2
    for word in ("NoNewPrivs:1", "CapEff:0000000000000000", "CapPrm:0000000000000000", "no namespace", "locks"):
        assert word in said


def test_it_gets_no_secret_even_by_mistake(site: Site) -> None:
    text = job("true")
    commit = site.commit({".github/workflows/ci.yml": text}, "topic")
    with pytest.raises(PushforwardError, match="is not trusted and gets no secrets"):
        run.run_workflow(
            workflow.load("ci.yml", text),
            Event("push", commit, "refs/heads/topic"),
            run.Setup(
                repository=Repository(site.bare, "a/b"),
                folder=site.folder / "r",
                artifacts=site.folder / "a",
                jail=site.cage,
                policy=Policy(untrusted=True),
                run_id=1,
                secrets={"KEY": CANARY},
            ),
        )


HOSTILE_TRAINING = """
    import os, subprocess
    bare = Path(os.environ["PUSHFORWARD_REPOSITORY"])
    script = r'''
    env | grep CANARY; cat "$BARE"/pushforward/token "$BARE"/pushforward/seal "$BARE"/pushforward/keys/*
    (: </dev/tcp/127.0.0.1/22) && echo REACHED
    for file in "$BARE"/pushforward/cache "$BARE"/pushforward/registry.json "$BARE"/config STORE; do
      cp -r .dvc/cache/. "$file"; find "$file" -type f -exec sh -c 'chmod 644 "$1"; echo evil >"$1"' sh {} \\;
    done
    git --git-dir="$BARE" update-ref refs/heads/main HEAD && echo WROTE
    setsid sleep 98761 >/dev/null 2>&1 </dev/null &
    mkdir -p handover/train; ln -sf "$BARE"/pushforward/token handover/token
    echo "LD_PRELOAD=/evil.so" >>"$GITHUB_ENV"; echo /evil >>"$GITHUB_PATH"
    echo was really run
    '''
    subprocess.run(["bash", "-c", script.replace("STORE", STORE)], env={**os.environ, "BARE": str(bare)}, timeout=20)
    shares = [0.5] * buckets
    Path("model").mkdir(exist_ok=True)
"""


@pytest.mark.slow
def test_after_a_hostile_branch_the_same_change_on_main_gives_what_it_gives_elsewhere(
    promoted: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    team = promoted
    monkeypatch.setenv("CANARY", CANARY)
    folders = [team.bare / "pushforward" / "cache", tmp_path / "store"]
    before, tags = contents(*folders), team.tags()
    team.git("switch", "-q", "-c", "evil")
    code = HOSTILE_TRAINING.replace("STORE)", f"{str(tmp_path / 'store')!r})")
    # the stage that it spoils is told apart by its parameters and data only: main is about to ask for the same
    team.commit("src/toy/pipeline.py", '    Path("model").mkdir(exist_ok=True)\n', code.lstrip("\n"), "Improve")
    team.commit("params.yaml", "buckets: 2", "buckets: 6", "Use six buckets")
    said = team.push("evil")
    assert team.note(team.head()).startswith("## "), said
    log = "".join(path.read_text() for path in (team.bare / "pushforward" / "runs").glob("*/*/log.txt"))
    assert "was really run" in log
    for word in (CANARY, "REACHED", "WROTE"):
        assert word not in log
    assert contents(*folders) == before
    assert (team.tags(), alive("sleep 98761")) == (tags, [])
    refused = team.git("push", "local", "HEAD:refs/heads/x;$(touch${IFS}PWNED)", check=False)
    assert "x;$(touch" in refused
    assert "rejected" in refused
    assert not list(tmp_path.rglob("PWNED"))

    team.git("switch", "-q", "main")
    team.commit("params.yaml", "buckets: 2", "buckets: 6", "Use six buckets")
    said = team.push()
    assert "toy@v1.1.0" in team.tags(), said
    team.git("fetch", "-q", "--tags", "local")
    team.git("merge", "-q", "--ff-only", "toy@v1.1.0")
    released = (team.clone / "dvc.lock").read_bytes()
    for stage in ("collect", "train"):
        command = [str(team.python), "-m", "toy.pipeline", stage]
        subprocess.run(command, cwd=team.clone, env=clean_room(team), check=True)
    made = hashlib.md5((team.clone / "model/model.json").read_bytes(), usedforsecurity=False).hexdigest()
    assert (tmp_path / "store/files/md5" / made[:2] / made[2:]).is_file()
    assert b"0.5, 0.5" not in (team.clone / "model/model.json").read_bytes()
    assert b"buckets: 6" in released


def clean_room(team: Any) -> dict[str, str]:
    """The environment in which a stage of the team's clone runs by hand."""
    return {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(team.clone / "src"), "HOME": str(team.clone)}
