"""`.actrc`: what makes plain act, typed in a clone, run train and judge there, with no Docker and no network.

`adopt` writes it beside the workflows; `server.clone` gives `pushforward act` the same flags. act reads a flag a line,
and puts variables of the shell in; paths are from the folder in which it is typed, the top of the clone.
"""

import json
import re
from dataclasses import dataclass
from importlib import resources

from pushforward.git.refs import PULLS

PATH = ".actrc"
FOLDER = ".act"  # what act leaves; it ignores itself
ACTIONS = "src/pushforward/actions/stand_ins"
EVENTS = ".github/events"
PUSH, PULL_REQUEST = "push.json", "pull_request.json"
PULL_HEAD = f"{PULLS}1/head"  # as the checkout of a clone makes it
RUNNER = "ubuntu-latest"
USES = re.compile(r"uses: (?P<action>[\w-]+/[\w-]+)@(?P<sha>[0-9a-f]{40})")
TEXT = """\
# What plain `act push`, `act pull_request` and `act workflow_run` are told here: no Docker, no network, no jail.
# A flag a line; paths are from the top of the clone, where act is typed. `pushforward act push --print` has them whole.
"""
FIRST = (
    f"# The first time type `pushforward act push`: it makes {FOLDER}, which leads to where pushforward is installed.\n"
)


@dataclass(frozen=True)
class Form:
    """Where the stand-ins of GitHub's actions are, the environment that has pushforward, the event, the clone."""

    actions: str
    environment: str
    event: str
    clone: str = "$PWD"


CARRIED = Form(ACTIONS, "$PWD/.venv", f"{EVENTS}/{PUSH}")  # of a repository that carries the tool
# `pushforward act` makes these, the first time: the tool lies where it is installed
ADOPTED = Form(f"{FOLDER}/actions", f"$PWD/{FOLDER}/environment", f"{FOLDER}/{PUSH}")


def flags(form: Form) -> list[str]:
    """The flags of act, each with its value."""
    stand_ins = [f"--local-repository {name}@{sha}={form.actions}/{name.replace('/', '+')}" for name, sha in _used()]
    return [
        f"-P {RUNNER}=-self-hosted",
        "--rm",
        "--no-cache-server",
        "--no-skip-checkout",
        f"--eventpath {form.event}",
        f"--env PUSHFORWARD_CLONE={form.clone}",
        f"--env PUSHFORWARD_ENVIRONMENT={form.environment}",
        "--env GIT_PAGER=cat",
        "--env PAGER=cat",
        *stand_ins,
    ]


def text(form: Form) -> str:
    """The file."""
    first = FIRST if form == ADOPTED else ""
    return TEXT + first + "".join(f"{flag}\n" for flag in flags(form))


def _used() -> list[tuple[str, str]]:
    """The actions of the generated workflows that have a stand-in, as they are pinned; others are skipped."""
    package = resources.files("pushforward")
    folder = package / "workflows"
    places = [*folder.iterdir(), *(one / "action.yml.in" for one in (folder / "actions").iterdir())]
    texts = [one.read_text("utf-8") for one in places if one.is_file() and one.name.endswith(".yml.in")]
    used = sorted({(found["action"], found["sha"]) for text in texts for found in USES.finditer(text)})
    return [one for one in used if (package / "actions" / "stand_ins" / one[0].replace("/", "+")).is_dir()]


def events(branch: str) -> dict[str, str]:
    """The events: as if HEAD were pushed to `branch`, and the train of a pull request, for the judge.

    `act` is act's own word for jobs that skip it. A judge of the branch is told its full ref, so that nothing is
    promoted, and a name in place of a commit, which the checkout knows.
    """
    common = {"act": True, "number": 1, "repository": {"default_branch": branch}}
    pull = {"number": 1, "base": {"ref": branch}}
    pushed = {"event": "push", "head_branch": f"refs/heads/{branch}", "head_sha": "HEAD"}
    asked = {"event": "pull_request", "head_branch": PULL_HEAD, "head_sha": PULL_HEAD, "pull_requests": [pull]}
    payloads = {
        PUSH: {**common, "pull_request": pull, "workflow_run": pushed},
        PULL_REQUEST: {**common, "workflow_run": asked},
    }
    return {name: json.dumps(payload, indent=2) + "\n" for name, payload in payloads.items()}
