"""The scratch folder of `scripts/simulate.py`: a clone, its server, a clone to serve from, and who may sign what."""

import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from demo import DIM, PLAIN, copy_to
from ruamel.yaml import YAML

BIN = Path(sys.executable).parent
MONTHS = [f"2013-{number:02d}" for number in range(5, 13)]
SHARE = 0.25  # of the requests that a canary answers


class Story(SystemExit):
    """The year did not go as it is told: a failure, not a surprise."""


@dataclass
class World:
    """A clone, its server, and what the year costs."""

    folder: Path
    server: Path
    began: float = field(default_factory=time.monotonic)

    @property
    def clone(self) -> Path:
        """Where people type."""
        return self.folder / "flights"

    @property
    def serving(self) -> Path:
        """The clone that versions are served from."""
        return self.folder / "serving"

    @property
    def env(self) -> dict[str, str]:
        """The environment of commands that people type."""
        return os.environ | {"GIT_CONFIG_GLOBAL": os.devnull, "PYTHONPATH": str(self.clone / "src")}

    @property
    def log(self) -> Path:
        """Where the server leaves its answers."""
        return self.folder / "log"

    @property
    def outcomes(self) -> Path:
        """What came of the flights until today."""
        return self.folder / "outcomes.parquet"

    @property
    def feed(self) -> Path:
        """Where a vendor leaves files."""
        return self.folder / "feed"

    @property
    def source(self) -> Path:
        """The list of what there is to be taken in."""
        return self.folder / "source.json"

    def run(self, *argv: str, check: bool = True, errors: bool = True) -> str:
        """Run a command in the clone; what it printed, with its errors or without."""
        words = [str(BIN / argv[0]) if argv[0] == "pushforward" else argv[0], *argv[1:]]
        done = subprocess.run(
            words,
            cwd=self.clone,
            env=self.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT if errors else subprocess.DEVNULL,
            text=True,
            check=False,
        )
        if check and done.returncode:
            raise Story(f"simulate: `{' '.join(argv)}` ended with status {done.returncode}\n{done.stdout[-3000:]}")
        return done.stdout

    def git(self, *argv: str) -> str:
        """Run git in the clone."""
        return self.run("git", *argv)

    def asked(self, *argv: str) -> Any:
        """What a verb says as JSON."""
        done = self.run("pushforward", *argv, "--json", check=False, errors=False)
        try:
            return json.loads(done)
        except ValueError:
            said = self.run("pushforward", *argv, check=False)
            raise Story(f"simulate: `pushforward {' '.join(argv)}` says\n{said[-3000:]}") from None

    def say(self, text: str) -> None:
        """A line of progress, with the seconds until now."""
        print(f"{DIM}{time.monotonic() - self.began:5.0f} s{PLAIN}  {text}", flush=True)


def expect(text: str, said: str) -> None:
    """The year tells a story, too."""
    if text not in said:
        raise Story(f"simulate: '{text}' should have been said:\n{said[-3000:]}")


def begin(world: World) -> None:
    """A repository of its own, with this project's files and four months of them; its server, and who may sign."""
    if world.folder.exists() and any(world.folder.iterdir()) and not (world.folder / "flights.git").is_dir():
        raise Story(f"simulate: {world.folder} holds something else; name another folder, or an empty one")
    shutil.rmtree(world.folder, ignore_errors=True)
    copy_to(world.clone)
    settings(world)
    world.git("init", "-q", "-b", "main")
    world.git("config", "user.name", "Ann")
    world.git("config", "user.email", "ann@example.org")
    world.git("add", "-A")
    world.git("commit", "-q", "-m", "Begin with four months")
    world.run("pushforward", "init")
    signs(world, world.clone, "ann", "production")


def serving_clone(world: World) -> None:
    """A clone to serve versions from, once there is one; its key may take back a canary, and nothing else."""
    world.git("clone", "-q", str(world.folder / "flights.git"), str(world.serving))
    signs(world, world.serving, "serve", "canary")


def signs(world: World, clone: Path, name: str, environment: str) -> None:
    """Give whoever works in a clone a key, and have it count for an environment, and for the canary."""
    world.run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(world.folder / name))
    for key, value in (("gpg.format", "ssh"), ("user.signingkey", str(world.folder / f"{name}.pub"))):
        world.git("-C", str(clone), "config", key, value)
    for key, value in (("user.name", name.title()), ("user.email", f"{name}@example.org")):
        world.git("-C", str(clone), "config", key, value)
    for place in {environment, "canary"}:
        world.run("pushforward", "trust", f"../{name}.pub", "--as", f"{name}@example.org", "--for", place)


def settings(world: World) -> None:
    """The project's own settings, but for where months come from, and a canary."""
    yaml = YAML()
    path = world.clone / "params.yaml"
    tree = yaml.load(path)
    tree["data"]["months"] = before(MONTHS[0])
    tree["collect"]["source"] = [str(world.feed), tree["collect"]["source"]]  # what a vendor has sent comes first
    yaml.dump(tree, path)
    path = world.clone / "pushforward.yaml"
    tree = yaml.load(path)
    tree["promote"]["environments"]["canary"] = "manual"
    tree["serve"] = {"canary": "canary", "share": SHARE, "look_seconds": 2}
    tree["arrive"] = {"source": f"cp {world.source} {{out}}", "expect": "monthly", "merge": "promote"}
    tree["monitor"] = {"reference": "data/valid/rows", "outcomes": f"cp {world.outcomes} {{out}}"}
    yaml.dump(tree, path)


def before(month: str) -> list[str]:
    """The months of the year before one."""
    return [f"2013-{number:02d}" for number in range(1, int(month[5:]))]
