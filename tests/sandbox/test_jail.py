"""Jails: what code in one can see, write, reach and leave behind. Each kind is skipped where it does not work."""

import os
import pwd
import resource
import socket
import subprocess
import sys
import textwrap
import time
from dataclasses import replace
from pathlib import Path

import pytest

from pushforward.errors import PushforwardError
from pushforward.sandbox import jail
from pushforward.sandbox.jail import Jail, Limits, Policy

pytestmark = pytest.mark.whole


@pytest.fixture(params=["bubblewrap", "unshare", "bubblewrap as nobody", "unshare as nobody"])
def cage(request: pytest.FixtureRequest) -> Jail:
    kind, _, other = request.param.partition(" as ")
    found = Jail(kind, jail.nobody() if other else 0)
    if other and not found.user:
        pytest.skip("NOT TESTED HERE: not root")
    if failure := jail.failure_of(found):
        pytest.skip(f"NOT TESTED HERE: {failure}")
    return found


def enter(cage: Jail, folder: Path, script: str, policy: Policy | None = None) -> subprocess.CompletedProcess[str]:
    scratch = folder / "scratch"
    scratch.mkdir(exist_ok=True)
    argv = ["/bin/sh", "-c", textwrap.dedent(script)]
    policy = replace(policy or Policy(), untrusted=True)
    argv = cage.wrap(argv, policy, cwd=Path("/tmp"), scratch=scratch)
    env = {"PATH": os.environ["PATH"], "HOME": "/tmp"}
    return subprocess.run(
        argv, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30, check=False
    )


def test_only_named_paths_exist_and_only_writable_ones_can_be_written(cage: Jail, tmp_path: Path) -> None:
    for name in ("readable", "writable", "secret", "readable/hidden", "readable/hidden/box"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "canary").write_text(name)
    policy = Policy(
        readable=(tmp_path / "readable",),
        hidden=(tmp_path / "readable/hidden",),
        writable=(tmp_path / "writable", tmp_path / "readable/hidden/box"),
    )
    done = enter(
        cage,
        tmp_path,
        f"""
        cd {tmp_path}
        ls -a secret
        cat readable/canary readable/hidden/canary readable/hidden/box/canary
        for folder in readable readable/hidden / /usr /etc; do touch $folder/new && echo WROTE $folder; done
        touch writable/new readable/hidden/box/new /tmp/new
        mount -o remount,rw,bind readable && echo REMOUNTED
        umount readable/hidden && echo UNMOUNTED
        """,
        policy,
    )
    assert done.stdout == "readablereadable/hidden/box"
    assert "secret" in done.stderr
    assert (tmp_path / "writable/new").exists()
    assert (tmp_path / "readable/hidden/box/new").exists()
    assert (tmp_path / "scratch/tmp/new").exists()
    assert not (tmp_path / "readable/new").exists()


def test_home_folders_and_password_hashes_are_not_there(cage: Jail, tmp_path: Path) -> None:
    home = Path(pwd.getpwuid(os.getuid()).pw_dir)
    done = enter(cage, tmp_path, f"cat /etc/shadow /etc/ssh/*; ls /etc >/dev/null; ls -A {home} /home | grep -v :")
    assert "'/etc'" not in done.stderr
    below = {path.relative_to(home).parts[0] for path in jail.environment_paths() if path.is_relative_to(home)}
    assert {line for line in done.stdout.splitlines() if line} <= below


def test_the_environment_of_this_python_works(cage: Jail, tmp_path: Path) -> None:
    done = enter(
        cage,
        tmp_path,
        f"{sys.executable} -c 'import numpy, pushforward.sandbox.jail, getpass; print(getpass.getuser())'",
    )
    names = {"runner"} if cage.user else {pwd.getpwuid(os.getuid()).pw_name, "root"}
    assert done.stdout.strip() in names, done.stderr


def test_rights_over_the_machine_are_gone(cage: Jail, tmp_path: Path) -> None:
    done = enter(
        cage,
        tmp_path,
        """
        grep -h CapEff /proc/self/status
        find /proc/sys /proc/irq /proc/bus /proc/sysrq-trigger -type f -writable 2>/dev/null | head -1
        unshare --user --map-root-user true && echo NESTED
        ls -d /proc/[0-9]* | wc -l
        ulimit -c
        """,
    )
    capabilities, processes, cores = done.stdout.splitlines()
    assert int(capabilities.split()[1], 16) == 0
    assert int(processes) < 12
    assert cores == "0"


def test_without_network_nothing_outside_is_reached_but_loopback_works(cage: Jail, tmp_path: Path) -> None:
    dial = textwrap.dedent("""
        import socket, sys
        inner = socket.create_server(("127.0.0.1", 0))
        socket.create_connection(inner.getsockname(), timeout=2).close()
        try:
            socket.create_connection(("127.0.0.1", int(sys.argv[1])), timeout=2).close()
            print("reached")
        except OSError as refused:
            print("refused")
    """)
    (tmp_path / "dial.py").write_text(dial)
    policy = Policy(readable=(tmp_path / "dial.py",))
    with socket.create_server(("127.0.0.1", 0)) as outside:
        script = f"{sys.executable} -I -S {tmp_path}/dial.py {outside.getsockname()[1]}"
        assert enter(cage, tmp_path, script, policy).stdout == "refused\n"
        connected = Policy(readable=policy.readable, network=True)
        assert enter(cage, tmp_path, script, connected).stdout == "reached\n"


def test_what_is_left_running_dies_with_the_command(cage: Jail, tmp_path: Path) -> None:
    policy = Policy(writable=(tmp_path,))
    script = f"setsid sh -c 'while :; do date +%N >{tmp_path}/alive; sleep 0.05; done' >/dev/null 2>&1 & sleep 0.3"
    enter(cage, tmp_path, script, policy)
    before = (tmp_path / "alive").read_text()
    time.sleep(0.3)
    assert (tmp_path / "alive").read_text() == before


def test_a_jail_dies_with_the_process_that_started_it(cage: Jail, tmp_path: Path) -> None:
    (tmp_path / "scratch").mkdir()
    script = f"while :; do date +%N >{tmp_path}/alive; sleep 0.05; done"
    argv = cage.wrap(
        ["/bin/sh", "-c", script], Policy(writable=(tmp_path,)), cwd=Path("/tmp"), scratch=tmp_path / "scratch"
    )
    starter = f"import subprocess; subprocess.run({argv!r})"
    with subprocess.Popen([sys.executable, "-I", "-S", "-c", starter]) as parent:
        for _ in range(100):
            if (tmp_path / "alive").exists():
                break
            time.sleep(0.05)
        parent.kill()
    time.sleep(0.2)
    before = (tmp_path / "alive").read_text()
    time.sleep(0.3)
    assert (tmp_path / "alive").read_text() == before


def test_status_and_limits_reach_the_command(cage: Jail, tmp_path: Path) -> None:
    assert enter(cage, tmp_path, "exit 7").returncode == 7
    policy = Policy(limits=Limits(memory=1 << 30, file_size=1 << 20))
    done = enter(cage, tmp_path, f"{sys.executable} -I -S -c 'bytearray(2 << 30)'", policy)
    assert "MemoryError" in done.stderr
    assert enter(cage, tmp_path, "head -c 2000000 /dev/zero >/tmp/big", policy).returncode != 0
    assert (tmp_path / "scratch/tmp/big").stat().st_size <= 1 << 20


def test_paths_with_blanks_and_quotes_are_bound_as_they_are(cage: Jail, tmp_path: Path) -> None:
    odd = tmp_path / "a 'b\" $c\\d"
    odd.mkdir()
    (odd / "x").write_text("fine")

    assert "fine" in enter(cage, tmp_path, f"find {tmp_path} -name x -exec cat {{}} +", Policy(readable=(odd,))).stdout


def test_where_nothing_isolates_runs_are_refused_unless_trusted(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(PushforwardError, match="nothing on this machine can isolate") as refused:
        jail.find()
    assert "bubblewrap" in refused.value.next
    assert jail.find(trust=True).kind == "none"


def test_the_best_kind_that_works_is_found_and_described() -> None:
    kinds = [kind for kind in ("bubblewrap", "unshare") if not jail.failure_of(Jail(kind))]
    if not kinds:
        pytest.skip("NOT TESTED HERE: neither bubblewrap nor unshare works")
    found = jail.find()
    assert found.kind == kinds[0]
    assert found.kind in found.describe()


@pytest.mark.parametrize(
    ("own", "most"),
    [
        ((resource.RLIM_INFINITY, resource.RLIM_INFINITY), None),
        ((resource.RLIM_INFINITY, 4 * jail.GIB), 4 * jail.GIB),
        ((jail.GIB, 4 * jail.GIB), jail.GIB),
        ((1 << 60, resource.RLIM_INFINITY), None),
    ],
)
def test_a_run_gets_no_more_memory_than_the_server_itself_may_have(
    monkeypatch: pytest.MonkeyPatch, own: tuple[int, int], most: int | None
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: own)
    assert jail.Limits().memory == (most or os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 4 * 3)
