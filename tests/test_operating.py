"""Every command of the page for whoever looks after a server, typed after the damage that it is for."""

import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.team import PYTHON, Team

pytestmark = pytest.mark.whole

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "operating.md").read_text()
SECTIONS = dict(re.findall(r"^#+ ([^\n]+)\n(.*?)(?=^#+ |\Z)", PAGE, re.MULTILINE | re.DOTALL))
BLOCK = re.compile(r"^```(sh|console|cron)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
UNTYPED = {"A store in a bucket"}  # says what holds there: server/test_distant.py has a bucket
TAG, STALE = "refs/tags/toy@v1.0.0", "deadbeef\n"


class Scene:
    """A server with a version in production, its clone, and the variables of the page."""

    def __init__(self, folder: Path) -> None:
        self.clone, self.server, self.store = folder / "toy", folder / "toy.git", folder / "store"
        self.own = self.server / "pushforward"
        self.variables = {
            "CLONE": self.clone,
            "SERVER": self.server,
            "STORE": self.store,
            "BACKUP": folder / "backup",
            "NEW": folder / "new",
            "OLD": folder / "old",
            "KEY": folder / "key",
        }

    def type(self, command: str) -> subprocess.CompletedProcess[str]:
        """Type a line in the clone; what is said, in one."""
        told = {name: str(value) for name, value in self.variables.items()}
        path = f"{PYTHON.parent}:{os.environ['PATH']}"
        env = os.environ | told | {"PATH": path, "PYTHONPATH": str(self.clone / "src")}
        return subprocess.run(
            ["bash", "-c", command],
            cwd=self.clone,
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )

    def follow(self, text: str) -> subprocess.CompletedProcess[str]:
        """Type all that a section says, in its order, hold it against what it promises, and give the last of it."""
        done = subprocess.CompletedProcess[str]([], 0)
        for kind, block in BLOCK.findall(text):
            for command, promised in _typed(kind, block):
                done = self.type(command)
                lines = done.stdout.replace("remote: ", "").splitlines()
                for line in promised:
                    assert any(self.is_as(line, said) for said in lines), f"$ {command}\nno {line!r} in\n{done.stdout}"
                assert promised or done.returncode == 0, f"$ {command}\n{done.stdout}"
        return done

    def is_as(self, promised: str, said: str) -> bool:
        """Whether a line says what was promised: `…` is anything, $NAME what the name stands for."""
        for name, value in self.variables.items():
            promised = promised.replace(f"${name}", str(value))
        return re.fullmatch(".*".join(re.escape(part) for part in promised.split("…")) + ".*", said) is not None

    def is_sound(self, last: subprocess.CompletedProcess[str]) -> bool:
        """Whether nothing is missing, as the doctor says, who may have been asked last."""
        asked = "pushforward check" in last.args[-1]
        return (last if asked else self.type("pushforward check --quick")).returncode == 0


def _typed(kind: str, block: str) -> list[tuple[str, list[str]]]:
    """The commands of a block, each with the lines that it promises."""
    if kind == "cron":
        line = block.replace("*/5 * * * *", "").strip().partition(">>")[0].strip()
        return [(f'env -i HOME="$HOME" PATH=/usr/bin:/bin sh -c "{line}"', [])]  # as cron has it
    if kind == "sh":
        return [(line, []) for line in block.replace("\\\n", "").splitlines()]
    found: list[tuple[str, list[str]]] = []
    for line in block.splitlines():
        if line.startswith("$ "):
            found.append((line[2:], []))
        else:
            found[-1][1].append(line)
    return found


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory, first_version: Callable[..., Team]) -> Path:
    """The folder of a team with a version in staging; each case starts from a copy in the same place."""
    folder = tmp_path_factory.mktemp("operating")
    (folder / "there").mkdir()
    team = first_version(folder / "there")
    for name in ("old", "key"):
        path = folder / "there" / name
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(path)], check=True)
    team.git("config", "gpg.format", "ssh")
    team.git("config", "user.signingkey", str(folder / "there" / "old.pub"))
    team.pushforward("trust", str(folder / "there" / "old.pub"), "--as", "ann@example.org")
    (folder / "there" / "backup").mkdir()
    shutil.copytree(folder / "there", folder / "kept", symlinks=True)
    return folder


@pytest.fixture
def scene(kept: Path) -> Scene:
    shutil.rmtree(kept / "there")
    shutil.copytree(kept / "kept", kept / "there", symlinks=True)
    return Scene(kept / "there")


def backed_up(scene: Scene) -> None:
    scene.follow(SECTIONS["Back up"])
    shutil.rmtree(scene.server)
    shutil.rmtree(scene.store)


def other_tool(scene: Scene) -> None:
    (scene.own / "lib" / "pushforward" / "commands" / "cli.py").write_text("raise SystemExit\n")


def one_object(scene: Scene) -> None:
    next(
        path for path in sorted((scene.store / "files").rglob("*")) if path.is_file() and path.suffix != ".dir"
    ).unlink()


def no_copies(scene: Scene) -> None:
    for path in (scene.store, scene.own / "cache", scene.clone / ".dvc" / "cache"):
        shutil.rmtree(path, ignore_errors=True)


def refs(scene: Scene) -> None:
    for name in ("refs/notes/pushforward", "refs/pushforward/registry", TAG):
        (scene.server / name).write_text(STALE)


def packed_refs(scene: Scene) -> None:
    subprocess.run(["git", "-C", str(scene.server), "pack-refs", "--all"], check=True)
    (scene.server / "packed-refs").unlink()


def ref_and_history(scene: Scene) -> None:
    (scene.server / TAG).write_text(STALE)
    (scene.server / "logs" / TAG).unlink()


def hooks(scene: Scene) -> None:
    shutil.rmtree(scene.server / "hooks")
    (scene.server / "config").unlink()


def interpreter(scene: Scene) -> None:
    for path in (scene.own / "server.json", *(scene.server / "hooks").iterdir()):
        # by its place, and by the way there from the hook
        path.write_text(re.sub(r"""[^\s"=]*/\.venv/bin/python""", "/gone/bin/python", path.read_text()))


def future(scene: Scene) -> None:
    scene.type(
        "GIT_COMMITTER_DATE=2090-01-01T00:00:00Z git commit -q --allow-empty -m late && git push -o ci.skip local main"
    )


def young(scene: Scene) -> None:
    for name in ("seal", "schedule.json"):
        (scene.own / name).unlink(missing_ok=True)


def environment(scene: Scene) -> None:
    (scene.clone / ".venv").symlink_to(PYTHON.parent.parent)


def protected(scene: Scene) -> None:
    scene.variables["KEY"] = scene.variables["OLD"]  # nobody has changed it
    scene.type("pushforward init --protect-main")


CASES: dict[str, Callable[[Scene], None] | None] = {
    "Looking after a server": None,
    "What is where": None,
    "Back up": young,
    "Restore": backed_up,
    "Restore in another place": backed_up,
    "Move": None,
    "Upgrade": other_tool,
    "Rotate the server's key": None,
    "Rotate a person's key": None,
    "Rotate token and seal": None,
    "The store has lost objects": one_object,
    "The store is lost": no_copies,
    "A ref is damaged": refs,
    "All refs are gone": packed_refs,
    "A ref is damaged that has no history": ref_and_history,
    "HEAD is damaged": lambda scene: (scene.server / "HEAD").write_text("x\n") and None,
    "Who may sign is lost or damaged": lambda scene: (scene.own / "allowed_signers").write_text("x\n") and None,
    "The folder of the server is lost": lambda scene: shutil.rmtree(scene.own),
    "Hooks or settings are lost": hooks,
    "Two servers for one clone": None,
    "A shared machine": None,
    "The environment is gone": interpreter,
    "The disk is full": None,
    "The clock is wrong": future,
    "A timer": environment,
    "Nothing lands on a protected main": protected,
}


def test_every_section_of_the_page_is_tried():
    assert [title for title in SECTIONS if title not in UNTYPED] == list(CASES)
    assert not any(BLOCK.search(SECTIONS[title]) for title in UNTYPED), "what is to be typed is tried"


@pytest.mark.parametrize(
    "title", [pytest.param(title, marks=[pytest.mark.slow] * (title == "The store is lost")) for title in CASES]
)
def test_what_the_page_says_to_type_does_what_it_says(title: str, scene: Scene) -> None:
    damage = CASES[title]
    if damage is not None:
        damage(scene)
    last = scene.follow(SECTIONS[title])
    assert scene.is_sound(last) == (title != "The clock is wrong"), "and only what is dated in the future stays"
