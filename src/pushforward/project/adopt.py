"""What `pushforward adopt` writes into a repository: pushforward.yaml, generated workflows, lines of .gitignore.

It is planned first and then written, so that a dry run tells the same. Nothing is committed, dvc.yaml is never touched,
params.yaml only where --update moves our own sections out of it.
"""

import posixpath
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from pushforward import __version__, files, params, schema, settings
from pushforward.errors import PushforwardError
from pushforward.git import remote as remotes
from pushforward.git.repository import Repository
from pushforward.project import actrc, draft, locking, move, tool, workflows
from pushforward.project.survey import Survey, survey
from pushforward.project.workflows import Form, Generated

IGNORE = ".gitignore"
TOOL = re.compile(rb"(?m)^tool:[ \t]*(\"[^\"\n]*\"|'[^'\n]*'|[^\s#]+)")
MADE = "make env"  # by the Makefile of a repository that carries the tool
MAKE_ENV = re.compile(r"(?m)^env:")
NEEDS = {
    2: "predictions: one table with a row for each test row: its key, label and prediction",
    3: "holdout: rows that no model has seen, and score: the command that scores them",
}
CARRIED = "src/pushforward/__main__.py"
OPTUNA = "requirements/tune.txt"  # of a repository that carries the tool
NO_WORKFLOWS = (
    "no workflows of a forge: a server of `pushforward init` runs those that come with the tool. For a forge, "
    "--tool-from says where its runners get pushforward: a git URL with its commit, or a wheel with its hash"
)
INCLUDE = (
    f"{workflows.CI} is yours: it needs `include: [{{local: /{workflows.OWN_CI}}}]`, "
    "and the stages train, judge and promote"
)
JUDGED = schema.LEVELS.index("predictions")  # the first level at which the rules of the gate count
FOLDERS = (".github", ".gitea", ".forgejo")
HOST = re.compile(r"(?:[a-z+]+://)?(?:[^@/]*@)?(?P<host>[\w.-]+)[:/]")
A_PATH = "path: which out the model is"
METRICS = "metrics: names of numbers that dvc.yaml declares, and which way is better"


@dataclass(frozen=True)
class Write:
    """A file as it will be, and in a few words what that is."""

    path: str
    content: bytes
    words: str
    runs: bool = False
    conflicts: int = 0


@dataclass(frozen=True)
class Plan:
    """What was found, the level that comes of it, what will be written, and what is said beside."""

    survey: Survey
    level: int
    writes: tuple[Write, ...]
    notes: tuple[str, ...] = ()

    @property
    def conflicts(self) -> int:
        """How many places two people have changed."""
        return sum(write.conflicts for write in self.writes)


def plan(root: Path, *, level: int | None = None, update: bool = False, source: str = "", forge: str = "") -> Plan:
    """What has to be written for the repository at `root` to be adopted; with `update`, renewed.

    `source` is where a runner of a forge gets the tool from; "" is what the generated files say already. `forge` is
    which one; "" is that of these files, or the one that the remote's host tells of.
    """
    found = survey(root)
    if not found.models:
        raise _nothing(found)
    form = form_of(found, tool.checked(root, source) if source else "", forge)
    made, notes = list[Write](), list[str]()
    if found.project is None and not found.old:
        made, notes = _drafted(found, form, level)
    elif found.project is None or update:
        made = list(_settings(found, update=update))
    text = next((write.content for write in made if write.path == schema.FILE), None)
    project = schema.parse(text) if text is not None else found.project
    reached = project.level if project is not None else draft.level(found)
    if level is not None and level > reached:
        raise PushforwardError(
            f"level {level} needs {needs(found, level)}; level {reached} is what there is",
            next=f"edit {schema.FILE}"
            if found.project is not None
            else "pushforward adopt, which writes it to be edited",
        )
    generated, notes = [], [*notes, *_unjudged(project)]
    for one in _rendered(form) if form else ():
        state = workflows.state(root, one)
        if state == "foreign" and one.path == actrc.PATH:
            notes.append(f"{one.path} is yours, and stays as it is: pushforward act gives act what it needs")
        elif state == "copy":
            notes.append(f"{one.path} is a copy of yours, and stays as it is")
        elif state in ("stale", "both") and not (update or source):
            notes.append(f"{one.path} is of another version: pushforward adopt --update")
        elif state in ("missing", "stale", "both"):
            generated.append(_generated(Repository(root), one, state))
    notes += [] if form else [NO_WORKFLOWS]
    notes += [INCLUDE] if form and form.forge == workflows.GITLAB and form.prefix else []
    notes += _absent(found)
    writes = (*made, *generated, *_ignore(found))
    for write in writes:
        _check_place(root, write.path)
    return Plan(found, reached, writes, tuple(notes))


def _nothing(found: Survey) -> PushforwardError:
    """The error of a repository whose every dvc.yaml is empty, or cannot be read."""
    read = {pipeline.file for pipeline in found.pipelines}
    odd = next((odd for odd in found.odd if odd.file in read), None)
    if odd is not None:
        return PushforwardError(str(odd), next=f"edit {odd.file}")
    return PushforwardError(f"{', '.join(sorted(read))}: no stage is there", next="dvc stage add, and adopt again")


def _check_place(root: Path, path: str) -> None:
    """Refuse, before anything is written, a place that is no file, or below one."""
    there = files.place(root, path)
    above = [folder for folder in there.parents if folder.is_relative_to(root)]
    if there.is_dir() or any(folder.exists() and not folder.is_dir() for folder in above):
        raise PushforwardError(
            f"{path} cannot be written: a folder is there, or a file in place of its folder",
            next="move that away, and pushforward adopt again",
        )


def apply(planned: Plan) -> None:
    """Write what was planned."""
    root = planned.survey.root
    for write in planned.writes:
        files.write(root, write.path, write.content)
        if write.runs:
            files.place(root, write.path).chmod(0o755)


def needs(found: Survey, level: int) -> str:
    """What a level wants that the one below it does not; of the first, what is not there."""
    if level > 1:
        return NEEDS[level]
    if found.project is not None:
        below = [model for model in found.project.models.values() if model.level == 0]
        lacks = {A_PATH: any(model.path is None for model in below), METRICS: bool(below)}
    else:
        known = [any(number.better for number in draft.numbers(one)) for one in found.models]
        lacks = {A_PATH: any(one.model is None for one in found.models), METRICS: not all(known)}
    return " and ".join(what for what, lack in lacks.items() if lack)


def stale(root: Path) -> Iterator[str]:
    """What is not as this version makes it, a line each; nothing where all is."""
    found = survey(root)
    if found.project is None:
        yield f"{schema.FILE} is not there"
    elif found.project.tool != __version__:
        yield f"{schema.FILE} is of pushforward {found.project.tool}, and this is {__version__}"
    form = form_of(found)
    for one in _rendered(form) if form else ():
        state = workflows.state(root, one)
        if state == "missing":
            yield f"{one.path} is not there"
        elif state in ("stale", "both"):
            yield f"{one.path} is of another version{', and edited' if state == 'both' else ''}"


def next_step(planned: Plan) -> str:
    """What to type now: a push is of what is committed, and its rehearsal says what it still lacks."""
    if planned.conflicts:
        return f"edit {', '.join(write.path for write in planned.writes if write.conflicts)}"
    places = sorted({write.path.partition("/")[0] for write in planned.writes})
    if not places:
        return "pushforward rehearse, which runs what a push would"
    return f"git add {' '.join(map(shlex.quote, places))} && git commit -m 'Adopt pushforward' && pushforward rehearse"


def form_of(found: Survey, source: str = "", forge: str = "", *, login: bool = False) -> Form | None:
    """What the generated files of a repository have of its own; None where nothing says where they get the tool.

    They log in to the store where they did before, or where `login` asks for it.
    """
    setup = _setup(found, source)
    if not setup:
        return None
    package = "src" if any(path.startswith("src/") for path in found.tracked) else "."
    forge = forge or workflows.forge_of(found.root, _host(found.root))
    login = forge == workflows.GITHUB and (login or workflows.logs_in(found.root))
    beside = workflows.beside(files.read(found.root, schema.FILE) or b"")
    tune = _tune(found, setup, source)
    form = Form(found.branch, package, setup, forge=forge, login=login, beside=beside, tune=tune)
    return replace(form, prefix=workflows.prefix(found.root, form))


def _host(root: Path) -> str:
    """The host of the remote that a forge has; "" where there is none."""
    url = Repository(root).git("remote", "get-url", remotes.ORIGIN, check=False)
    found = HOST.match(url.text) if url.returncode == 0 else None
    return found["host"].lower() if found else ""


def _rendered(form: Form) -> list[Generated]:
    """The generated files: those of a forge, and of GitHub's what has act run them in a clone."""
    if form.forge != workflows.GITHUB:
        return workflows.render(form)
    told = actrc.text(actrc.CARRIED if form.setup == MADE else actrc.ADOPTED)
    return [*workflows.render(form), Generated(actrc.PATH, told.encode(), False)]


def _setup(found: Survey, source: str) -> str:
    """What puts pushforward into .venv and builds the environment, as one line of shell; "" where nothing can."""
    makefile = files.read(found.root, "Makefile") if CARRIED in found.tracked else None
    if makefile is not None and MAKE_ENV.search(makefile.decode("utf-8", "replace")):
        return MADE
    source = source or _said_before(found.root)
    if not source:
        return ""
    more = next((tool.needed(remote.url) for remote in found.remotes if remote.default), "")
    own = f"uv venv -q --allow-existing .venv && {tool.install(found.root, source, more)} && .venv/bin/pushforward env"
    return f'if [ -n "${{PUSHFORWARD_LIB:-}}" ]; then {tool.SERVED}; else {own}; fi'


def _tune(found: Survey, setup: str, source: str) -> str:
    """What puts Optuna beside pushforward, as one line of shell; "" where the settings have nothing searched."""
    if found.project is None or found.project.tune is None:
        return ""
    if setup == MADE:
        return f"{tool.INSTALL} --require-hashes --no-deps -r {OPTUNA}"
    return tool.install(found.root, source or _said_before(found.root), "[tune]")


def _said_before(root: Path) -> str:
    """Where the files that were generated before get the tool from."""
    actions = [f"{folder}/actions/{prefix}setup/action.yml" for folder in FOLDERS for prefix in ("", workflows.PREFIX)]
    for path in (*actions, workflows.CI, workflows.OWN_CI):
        content = files.read(root, path)
        if content is not None and (source := tool.written(content.decode("utf-8", "replace"))):
            return source
    return ""


def _unjudged(project: schema.Project | None) -> Iterator[str]:
    """What this file says and nobody runs or judges yet."""
    for read in settings.Settings(project).each if project is not None else ():
        try:
            _ = read.gate if read.level < JUDGED else (read.contract, read.gate)
            _ = settings.Settings(read.project).environment
        except PushforwardError as refused:
            yield refused.message


def _absent(found: Survey) -> Iterator[str]:
    """The files of metrics whose numbers cannot be drafted, for they are not here."""
    if found.project is None and not found.old:
        for path in dict.fromkeys(one.out.path for model in found.models for one in model.metrics if one.absent):
            yield f"{path} is not here: after dvc pull or dvc repro, and rm {schema.FILE}, adopt finds its numbers"


def _drafted(found: Survey, form: Form | None, level: int | None) -> tuple[list[Write], list[str]]:
    """pushforward.yaml for what was found, the locks of what it names loosely, and what could not be locked."""
    named, made, notes = locking.locked(found)
    own = form is not None and form.forge == workflows.GITHUB  # those that a server runs
    prefix = form.prefix if form and own else workflows.PREFIX if _taken(found) else ""
    names = [f"{prefix}{name}" for name in workflows.NAMES] if prefix else []
    text = draft.text(named, draft.level(found) if level is None else level, names)
    writes = [Write(schema.FILE, text.encode(), f"{text.count(chr(10))} lines")]
    return [*writes, *(Write(lock.path, lock.content, lock.words) for lock in made)], notes


def _settings(found: Survey, *, update: bool) -> Iterator[Write]:
    """pushforward.yaml: moved out of params.yaml, or of another version."""
    if found.project is not None:
        content = files.read(found.root, schema.FILE) or b""
        fresh = TOOL.sub(f'tool: "{__version__}"'.encode(), content, count=1)
        if found.project.tool != __version__ and fresh != content:
            yield Write(schema.FILE, fresh, f"tool {found.project.tool} -> {__version__}")
        return
    if found.old:
        if not update:
            raise settings.moved(found.old)
        moved = move.move(found)
        yield Write(
            schema.FILE, moved.project.encode(), f"{moved.project.count(chr(10))} lines, moved from {params.FILE}"
        )
        stays = f"; {', '.join(moved.stays)} stays, for a stage reads it" if moved.stays else ""
        gone = ", ".join(name for name in found.old if name != "data")
        yield Write(params.FILE, moved.params.encode(), f"without {gone}{stays}")


def _taken(found: Survey) -> bool:
    """Whether workflows of the repository's own are called as those that a server runs."""
    stems = {posixpath.splitext(posixpath.basename(path))[0] for path in found.workflows}
    return not stems.isdisjoint(schema.Server().workflows)


def _generated(repository: Repository, one: Generated, state: str) -> Write:
    if state != "both":
        words = "generated" if state == "missing" else "generated anew"
        return Write(one.path, one.content, words, one.runs)
    content, conflicts = workflows.merged(repository, one)
    words = f"merged, with {conflicts} conflicts" if conflicts else "merged with your changes"
    return Write(one.path, content, words, one.runs, conflicts)


def _ignore(found: Survey) -> Iterator[Write]:
    if not found.unignored:
        return
    content = files.read(found.root, IGNORE) or b""
    content += b"\n" if content and not content.endswith(b"\n") else b""
    added = "# what a run leaves, and what DVC keeps\n" + "".join(f"{line}\n" for line in found.unignored)
    yield Write(IGNORE, content + added.encode("utf-8", "surrogateescape"), f"+{len(found.unignored)}")
