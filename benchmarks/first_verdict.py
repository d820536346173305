"""From an empty machine to a verdict: `python benchmarks/first_verdict.py [--record] [--with uv|venv]`.

The wheel of this checkout is installed by who has python3, git and the package index, and no compiler, no home and no
configuration of git; then `pushforward new` and what it says to type. What is printed is what a person sees, with the
seconds of each command; --record puts it into docs/adopt.md. An index, proxy or certificate that the environment
names (PIP_INDEX_URL, UV_DEFAULT_INDEX, SSL_CERT_FILE, …) is how this machine reaches PyPI, and handed on.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "adopt.md"
INDEX = re.compile(r"(?i)(PIP|UV)_(DEFAULT_)?(INDEX|INDEX_URL|CERT)|SSL_CERT_(FILE|DIR)|(HTTPS?|NO)_PROXY")
PROGRAMS = ("python3", "git")
# What every Linux has besides: a shell, its small tools, and those of the kernel; ssh-keygen signs for git.
SYSTEM = (
    *("bash", "sh", "env", "cat", "chmod", "cp", "dirname", "du", "find", "id", "ln", "ls", "mkdir", "mv", "rm"),
    *("readlink", "sed", "sleep", "tr", "uname", "mount", "prlimit", "setpriv", "umount", "unshare", "ssh-keygen"),
)
HEAVY = ("gcc", "cc", "g++", "make", "uv", "pip", "pipx", "dvc", "act")


@dataclass
class Machine:
    """An empty home, a PATH of python3 and git, and what was typed and said in it."""

    home: Path
    path: list[str]
    said: list[str] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    where: str = "~"

    def type(self, command: str) -> None:
        """Type a line of shell, and keep what it says."""
        env = {name: value for name, value in os.environ.items() if INDEX.fullmatch(name)}
        env |= {"HOME": str(self.home), "PATH": ":".join(self.path), "LANG": "C.UTF-8"}
        began = time.perf_counter()
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=self.where.replace("~", str(self.home)),
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        took = time.perf_counter() - began
        self.seconds.append(took)
        text = done.stdout.replace(str(self.home), "~")
        print(f"$ {command:<66}  # {took:5.1f} s\n{text}", end="", flush=True)
        self.said += [f"$ {command:<66}  # {took:.1f} s", *(line.rstrip() for line in text.splitlines())]
        if done.returncode != 0:
            sys.exit(f"`{command}` ended with status {done.returncode}")


def programs(folder: Path) -> list[str]:
    """A folder of links to what the empty machine has; refused where something that it must not have would be found."""
    folder.mkdir()
    for name in (*PROGRAMS, *SYSTEM):
        found = shutil.which(name, path="/usr/bin:/bin")
        if found is None and name in PROGRAMS:
            sys.exit(f"/usr/bin has no {name}")
        if found is not None:
            (folder / name).symlink_to(found)
    if there := [name for name in HEAVY if shutil.which(name, path=str(folder))]:
        sys.exit(f"the empty machine is not empty: {', '.join(there)}")
    return [str(folder)]


def wheel(folder: Path) -> Path:
    """The wheel of this checkout."""
    uv = shutil.which("uv") or str(ROOT / ".tools" / "bin" / "uv")
    constraints = ROOT / "requirements" / "build.txt"
    words = [uv, "build", "-q", "--wheel", "--build-constraints", str(constraints), "--out-dir", str(folder), str(ROOT)]
    subprocess.run(words, check=True)
    return next(folder.glob("*.whl"))


def install(machine: Machine, by: str, made: Path) -> None:
    """Install the tool, as either of two kinds of people do."""
    name = made.name
    shutil.copy(made, machine.home / name)
    if by == "venv":
        machine.type(f"python3 -m venv tool && tool/bin/pip install -q ./{name}")
        machine.path.append(str(machine.home / "tool" / "bin"))
        return
    # how a person comes to uv is not timed: they have it, or a line on its page gets it
    subprocess.run([sys.executable, "-m", "venv", str(machine.home / ".uv")], check=True)
    subprocess.run([str(machine.home / ".uv" / "bin" / "pip"), "install", "-q", "uv"], check=True)
    outside = machine.home / ".uv-alone"
    outside.mkdir()
    (outside / "uv").symlink_to(machine.home / ".uv" / "bin" / "uv")
    machine.path.append(str(outside))
    machine.type(f"uv tool install -q --python python3 ./{name}")
    machine.path.remove(str(outside))  # from here on the tool has its own
    machine.path.append(str(machine.home / ".local" / "bin"))


def record(by: str, said: list[str]) -> None:
    """Put what was said into the page, in place of what was recorded before."""
    begin, end = f"<!-- recorded by benchmarks/first_verdict.py --with {by} -->\n", "<!-- /recorded -->"
    text = PAGE.read_text(encoding="utf-8")
    head, found, rest = text.partition(begin)
    if not found:
        sys.exit(f"{PAGE} has no {begin.strip()}")
    _, _, tail = rest.partition(end)
    block = "\n".join(said)
    PAGE.write_text(f"{head}{begin}```console\n{block}\n```\n{end}{tail}", encoding="utf-8")


def main() -> None:
    """Install, make a project, push it; the sum of the seconds."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--with", dest="by", choices=("uv", "venv"), default="uv", help="what installs the tool")
    asked.add_argument("--record", action="store_true", help="write it into docs/adopt.md")
    options = asked.parse_args()
    with tempfile.TemporaryDirectory(prefix="empty-") as scratch:
        home = Path(scratch) / "home"
        home.mkdir()
        machine = Machine(home, programs(Path(scratch) / "bin"))
        install(machine, options.by, wheel(Path(scratch)))
        machine.type("pushforward new tumours")
        machine.where = "~/tumours"
        for line in ("pushforward env", "pushforward init", "git push local main"):
            machine.type(line)
    total = f"# {sum(machine.seconds):.0f} s from nothing to the verdict, {machine.seconds[0]:.0f} s of them to install"
    print(total)
    if options.record:
        # what is said is the same with either; the page has it once
        shown = machine.said if options.by == "uv" else [line for line in machine.said if line.startswith("$ ")]
        record(options.by, [*shown, total])


if __name__ == "__main__":
    main()
