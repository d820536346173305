"""The files that a forge's repository needs on its default branch, as steps: whose signatures count, whose code it is,
where the data lies, and the workflows.

Called by the forges with a checkout to read; nothing is written here.
"""

import posixpath
import re
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from pushforward import files, settings
from pushforward.errors import PushforwardError
from pushforward.forge.port import File, Step, Wanted
from pushforward.git.environment import SERVICE_EMAIL
from pushforward.pipeline import storage
from pushforward.project import adopt, workflows
from pushforward.project.survey import Remote, survey
from pushforward.registry import signers, ssh
from pushforward.registry.grammar import MAY_VERSION
from pushforward.registry.trust import FORGE

RIGHT = "as it should be"
OWNED = ("/.github/", "/src/pushforward/", "/requirements/", "/pushforward.yaml", "/dvc.yaml")
OWNERS = (".github/CODEOWNERS", "CODEOWNERS", "docs/CODEOWNERS")  # the first that is there counts
REMOTE = re.compile(r"(?m)^[ \t]*\['?remote \"(?P<name>[^\"\n]+)\"'?\][^\n]*\n(?P<body>(?:(?![ \t]*\[)[^\n]*\n?)*)")
URL = re.compile(r"(?m)^([ \t]*)url[ \t]*=[^\n]*\n?")
NAME = "store"


def judge_keys(root: Path) -> list[ssh.Signer]:
    """The keys that may sign versions, by the file in the checkout at `root`."""
    content = files.read(root, FORGE) or b""
    return [
        one for one in ssh.read(content.decode("utf-8", "replace")) if MAY_VERSION in one.may and not one.valid_before
    ]


def allowed_signers(root: Path, wanted: Wanted, *, fresh: bool) -> Iterator[Step]:
    """Whose signatures count: the judge's, where its key is made anew (`fresh`), and that of who sets this up."""
    text = (files.read(root, FORGE) or b"").decode("utf-8", "replace")
    read = settings.load(root).promote.environments
    people = [name for name, how in read.items() if how == "manual"]
    who, key = wanted.signer or ("", "")
    known = any(one.key == key and not one.valid_before for one in ssh.read(text))
    missing = [*(["the judge's key"] if fresh else []), *([f"the key of {who}"] if who and not known else [])]
    if not missing:
        yield Step(f"file {FORGE}", RIGHT)
    else:

        def content() -> bytes:
            with tempfile.TemporaryDirectory(prefix="pushforward-") as folder:
                place = signers.Place(Path(folder) / "signers", tuple(read))
                place.file.write_text(text)
                for one in judge_keys(root) if fresh and wanted.rotate else ():
                    signers.revoke(place, one.key)
                if fresh:
                    signers.add(place, wanted.keys.public(), SERVICE_EMAIL)
                if who and not known:
                    signers.add(place, key, who, people)
                return place.file.read_bytes()

        why = f"says that the signature of {' and '.join(missing)} counts"
        yield Step(f"file {FORGE}", f"lacks {' and '.join(missing)}", (File(FORGE, content, why),))
    if wanted.signer is None:
        yield Step(
            "your signing key",
            "git knows none, and a person signs what goes to production",
            by_hand="ssh-keygen -t ed25519, then git config user.signingkey and gpg.format ssh, then this again",
            optional=True,
        )


def code_owners(root: Path, owners: tuple[str, ...]) -> Iterator[Step]:
    """Whose approval a change of the judge itself needs."""
    path = next((one for one in OWNERS if files.read(root, one) is not None), OWNERS[0])
    text = (files.read(root, path) or b"").decode("utf-8", "replace")
    owned = {line.split()[0] for line in text.splitlines() if line.strip() and not line.startswith("#")}
    there = [one for one in OWNED if one == "/.github/" or (root / one.strip("/")).exists()]
    lacking = [one for one in there if one not in owned]
    if not lacking:
        yield Step(f"file {path}", RIGHT)
        return
    gap = "\n" if text and not text.endswith("\n") else ""
    made = f"{text}{gap}" + "".join(f"{one} {' '.join(owners)}\n" for one in lacking)
    why = f"makes what judges somebody's to approve: {' '.join(owners)}"
    yield Step(f"file {path}", f"names nobody for {', '.join(lacking)}", (File(path, made.encode, why),))


def store(root: Path, wanted: Wanted, setup: str) -> Iterator[Step]:
    """Where the data lies: a place that a runner reaches; `setup` is the command that sets it."""
    path = posixpath.join(storage.home(root), storage.CONFIG)
    there = storage.storage(root)
    text = (files.read(root, path) or b"").decode("utf-8", "replace")
    url = wanted.store or there.url
    name = config(root)
    if not url:
        yield Step(
            name, "names no DVC remote: no run has where to put a model", by_hand=f"{setup} --store s3://BUCKET/PATH"
        )
    elif wanted.store and wanted.store != there.url:
        made = with_store(text, wanted.store)
        why = f"keeps data and models at {wanted.store}, in place of {there.url or 'nowhere'}"
        yield Step(name, f"the DVC remote is {there.url or 'none'}", (File(path, made.encode, why),), lost=_folder(url))
    elif not wanted.store and (written := beside(root)):
        yield Step(
            name,
            f"the DVC remote is a folder beside the clone ({written}), which no runner reaches",
            by_hand=f"{setup} --store s3://BUCKET/PATH, then dvc push",
        )
    else:
        yield Step(name, f"{RIGHT}: {url}", lost=_folder(url))


def config(root: Path) -> str:
    """What the step is called that is of the DVC remote."""
    return f"file {posixpath.join(storage.home(root), storage.CONFIG)}"


def beside(root: Path) -> str:
    """The address of a DVC remote that is a folder told from where the clone is; "" of any other."""
    path = posixpath.join(storage.home(root), storage.CONFIG)
    written = url_in((files.read(root, path) or b"").decode("utf-8", "replace"))
    return written if is_folder(written) and not written.startswith(("/", "file:")) else ""


def _folder(url: str) -> str:
    return f"{url} is a folder: only runners on a machine that has it reach it, none of the forge's own" * is_folder(
        url
    )


def is_folder(url: str) -> bool:
    """Whether the address of a DVC remote is a folder of the machine."""
    return bool(url) and ("://" not in url or url.startswith("file://"))


def url_in(text: str) -> str:
    """The address of the default remote as a .dvc/config says it."""
    section = _section(text, _default(text))
    found = URL.search(section["body"]) if section else None
    return found[0].partition("=")[2].strip().strip("\"'") if found else ""


def _default(text: str) -> str:
    default = re.search(r"(?m)^[ \t]*remote[ \t]*=[ \t]*(\S+)", text)
    return default[1] if default else ""


def _section(text: str, name: str) -> re.Match[str] | None:
    return next((one for one in REMOTE.finditer(text) if one["name"] == name), None)


def with_store(text: str, url: str) -> str:
    """A .dvc/config whose default remote is at `url`; its other lines stay as they are."""
    default = _default(text)
    name = default or NAME
    section = _section(text, name)
    if section is not None:
        body, count = URL.subn(lambda found: f"{found[1]}url = {url}\n", section["body"], count=1)
        body = body if count else f"    url = {url}\n{body}"
        text = text[: section.start("body")] + body + text[section.end("body") :]
    else:
        text += f"{'' if not text or text.endswith(chr(10)) else chr(10)}['remote \"{name}\"']\n    url = {url}\n"
    if default:
        return text
    core = re.search(r"(?m)^[ \t]*\[core\][^\n]*\n", text)
    if core is None:
        return f"[core]\n    remote = {name}\n{text}"
    return f"{text[: core.end()]}    remote = {name}\n{text[core.end() :]}"


def rendered(root: Path, wanted: Wanted) -> Iterator[Step]:
    """The workflow files, as `adopt` writes them."""
    found = survey(root)
    if wanted.store:  # which decides what reaches it
        found = replace(found, remotes=(Remote(NAME, wanted.store, storage.CONFIG, 1, default=True),))
    if found.project is None:
        raise PushforwardError(f"{root.name}: the default branch has no pushforward.yaml", next="pushforward adopt")
    form = adopt.form_of(found, wanted.tool, wanted.forge, login=bool(wanted.aws_role or wanted.aws_reader))
    if form is None:
        yield Step(
            "workflow files",
            "nothing says where a runner gets pushforward",
            by_hand="the same with --tool-from https://HOST/pushforward.git@COMMIT (40 digits), or URL.whl#sha256=HASH",
        )
        return
    states = {one: _state(root, one, form) for one in workflows.render(form)}
    acts = tuple(
        File(one.path, lambda one=one: one.content, "is run by the forge", one.runs)  # type: ignore[misc]
        for one, state in states.items()
        if state in ("missing", "stale")
    )
    edited = [one.path for one, state in states.items() if state == "both"]
    copies = [one.path for one, state in states.items() if state == "copy" and form.login]
    if edited:
        yield Step(
            "workflow files",
            f"{', '.join(edited)}: of another version, and edited",
            by_hand="pushforward adopt --update",
        )
    elif copies:
        yield Step(
            "workflow files",
            f"{', '.join(copies)}: copies of yours, which may lack the login to the store",
            acts,
            by_hand=f"git rm {' '.join(copies)}, push that, and the same again; or add it by hand",
            optional=True,
        )
    elif acts:
        yield Step("workflow files", f"{len(acts)} of {len(states)} are missing or of another version", acts)
    else:
        yield Step("workflow files", RIGHT)


def _state(root: Path, made: workflows.Generated, form: workflows.Form) -> str:
    """How a file is; a copy that is as it would be without the login to the store was edited by nobody."""
    state = workflows.state(root, made)
    if state != "copy" or not form.login:
        return state
    plain = next(one for one in workflows.render(replace(form, login=False)) if one.path == made.path)
    return "stale" if workflows.state(root, plain) == "current" else state
