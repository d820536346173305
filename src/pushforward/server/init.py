"""Make a server of a clone: a bare repository with hooks, a DVC remote beside it, the git remote `local`."""

import configparser
import contextlib
import os
import secrets
import shlex
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pushforward import durable, files
from pushforward.errors import TOOL, PushforwardError
from pushforward.git import form, person, remote, whereabouts
from pushforward.git.environment import SERVICE_EMAIL
from pushforward.git.refs import FOREIGN, HEADS, HOLDOUTS, NOTES, TRUST
from pushforward.git.remote import LOCAL as REMOTE
from pushforward.git.repository import Repository
from pushforward.git.server import (
    DELETED,
    FOLDER,
    PUSHED,
    SHOWN,
    Server,
    followable,
    hooks,
    no_link_in,
    readable,
    refuse_misplaced,
    said,
    shares,
    store_now,
    unshared,
    write_hook,
    write_hooks,
)
from pushforward.project.survey import NO_BRANCH, default_branch
from pushforward.registry import signers, ssh, trust
from pushforward.server import tool

if TYPE_CHECKING:
    from pushforward.settings import Settings

LIMIT_PUSH = 1024**3
HOOKS_PATH = "hooks"  # git looks for it from the repository, wherever that is
# A push sees thousands of refs less; the last line that fits counts, and versions are pushed with their registry.
HIDDEN = ("refs/pushforward", "!refs/pushforward/registry")
INSTALL = "apt-get install openssh-client"
SHARED = ("group", "true", "1", "all", "world", "everybody", "2")  # core.sharedRepository, for whoever is of the group
Say = Callable[[str], None]


@dataclass(frozen=True)
class Wishes:
    """What is to be otherwise than it is. What nobody wishes for stays: store, keys, flags.

    `trust` lets topic branches run without a jail where the machine has none. `protect` lets the default branch move
    only to what has a passing verdict, or changes nothing that the pipeline reads. None leaves either as it is.
    `move_store` takes the store to where the clone's .dvc/config says, `new_key` ends the server's key for another.
    """

    trust: bool | None = None
    protect: bool | None = None
    move_store: bool = False
    new_key: bool = False


def _silent(_: str) -> None:
    """Tell nobody."""


def init(clone: Path, *, bare: Path | None = None, say: Say = _silent, **wishes: bool) -> Server:
    """Make or renew the server of `clone`, by the `Wishes`; what was pushed and judged, and who may sign what, stays.

    `say` is told what was kept against what the clone says, restored, or made anew for want of the old.
    """
    repository = Repository(clone)
    clone = _project(repository)
    from pushforward import settings  # a hook reads this module too, and must not wait for pydantic
    from pushforward.server import distant, foreign

    wanted = settings.load(clone)
    branch, why = default_branch(repository)
    if why == NO_BRANCH:
        raise PushforwardError("no branch is checked out, and one has to be the default", next="git switch main")
    remote_name, url = _store(clone)
    joined, own = (None, bare) if bare else (_server_of(repository), _own(repository))
    place = Path(os.path.normpath((own or joined or clone.parent / f"{clone.name}.git").absolute()))
    joined = place if joined == place else None  # of two servers, `local` is the one that is meant
    bare = place
    whereabouts.fit(bare, "server")
    no_link_in(bare / FOLDER)
    if bare.exists() and not bare.is_dir():
        name = shlex.quote(str(bare))
        raise PushforwardError(f"{bare} is a file, where the server has to be", next=f"mv {name} {name}.aside")
    refuse_misplaced(bare)
    if bare.is_dir() and (owner := whereabouts.owner_elsewhere(bare)):
        if not (bare / whereabouts.SETTINGS).is_file():
            whereabouts.refuse_stranger(bare, "pushforward init")
        say(f"owner    {owner}: what the server runs and keeps stays as it is")
        joined = bare
    _add_remote(repository, bare)
    if joined:
        return Server.load(joined)
    if not (bare / "HEAD").is_file():
        repository.git("init", "-q", "--bare", "-b", branch, str(bare))
    whereabouts.refuse_headless(bare)
    whereabouts.refuse_gutted(bare)
    readable(Repository(bare))
    form.check(Repository(bare))
    followable(Repository(bare))
    if told := unshared(Repository(bare)):
        say(f"lost     {told}; to share it again: {shares(bare)}")
    _configure(Repository(bare))
    made = _Renewal(bare, Wishes(**wishes), say).server(remote_name, url, wanted)
    if distant.keep(made, clone):
        say("login    to the store, of .dvc/config.local: kept with the server's keys, for runs of the default branch")
    foreign.take(made.repository, repository, next(iter(wanted.project.models)), say)
    return made


def _project(repository: Repository) -> Path:
    """The root of the project at hand; an error where no server can be made of it, or not on this machine."""
    form.check(repository)
    top = repository.git("rev-parse", "--show-toplevel", check=False).text
    if not top:
        raise PushforwardError(
            f"{repository.path} is not a git repository", next="git init && git add -A && git commit"
        )
    within, clone = repository.path.resolve(), Path(top)
    if "\ufffd" in top:  # what git prints for it is not what it is called
        raise PushforwardError(f"{top}: its path is not UTF-8", next="mv the folder to another name")
    if not (clone / files.SETTINGS).is_file() and (within / files.SETTINGS).is_file():
        part = shlex.quote(str(within.relative_to(clone.resolve())))
        raise PushforwardError(
            f"{within} is a folder of the repository {clone}, and a project has to be a repository of its own",
            next=f"cd {shlex.quote(top)} && git subtree split -q -P {part} -b project && "
            f"git clone -q -b project . {shlex.quote(f'{top}-{within.name}')}",
        )
    if shutil.which("ssh-keygen") is None:
        raise PushforwardError(
            "ssh-keygen is not installed, and versions are signed with it", next=INSTALL, exit_code=TOOL
        )
    return clone


class _Renewal:
    """Makes what a server in `bare` needs to have, and leaves alone what it has."""

    def __init__(self, bare: Path, wishes: Wishes, say: Say) -> None:
        self.bare, self.wishes, self.say = bare, wishes, say
        self.repository = Repository(bare)
        self.known = said(bare)  # of another version, it may still say this much
        self.old = (bare / FOLDER).is_dir() or bool(self.repository.refs("refs/pushforward/"))

    def server(self, remote_name: str, url: str, wanted: "Settings") -> Server:
        """The server, all of it written down."""
        first = whereabouts.original(self.bare, self.known)
        if first is not None:
            self.say(f"copy     of {first}, which stays what it is; this is a server of its own from now on")
        before = str(self.known.get("place", "")) or os.path.realpath(self.bare)
        kept = self._kept_store(url, before)
        made = Server(
            bare=str(self.bare),
            python=sys.executable,
            store=kept,
            remote=remote_name if kept == url else str(self.known.get("remote", remote_name)),
            name=str((not first and self.known.get("name")) or f"{self.bare.parent.name}/{self.bare.stem}"),
            trust=self._flag("trust", self.wishes.trust),
            protect=self._flag("protect", self.wishes.protect),
            id=secrets.token_hex(16) if first or not self.known.get("id") else str(self.known["id"]),
        )
        if kept:
            self._claim(Path(kept), Path(before), copied=first is not None)
        tool.copy(made.folder / "lib")
        _write_token(made.folder / "token")
        self._restore_signers()
        self._tell_lost(made.folder)
        self._sign()
        self._know(made, wanted)
        made.save()
        write_hooks(made)
        _share(made)
        return made

    def _flag(self, name: str, wish: bool | None) -> bool:
        return self.known.get(name) is True if wish is None else wish

    def _claim(self, store: Path, before: Path, *, copied: bool) -> None:

        whereabouts.fit(store, "store")
        store.mkdir(parents=True, exist_ok=True)
        # a copy that shares the store of its original leaves that one's claim alone
        shared = copied and str(store) == self.known.get("store")
        whereabouts.claim(store, self.bare, instead=None if shared else before)

    def _kept_store(self, url: str, before: str) -> str:
        """The store that the server has, wherever the clone at hand would look for one; what is lost is not replaced.

        It moves where somebody asks for that, and then takes along what it holds.
        """
        from pushforward.pipeline import store as objects

        if "store" not in self.known:
            self._must_hold_versions(url)
            return url
        kept = store_now(str(self.known["store"]), before, self.bare)
        if kept == url:
            if kept and not Path(kept).is_dir() and not self.wishes.move_store and self._versions():
                raise PushforwardError(
                    f"the server's store {kept} is missing, and versions have their objects there",
                    next=f"put {kept} back, or begin it anew from what copies there are: "
                    "pushforward init --move-store && pushforward check --mend",
                    exit_code=TOOL,
                )
            return kept
        if self.wishes.move_store:
            if url and kept and Path(kept).is_dir():
                count = objects.Store(Path(url)).take(objects.Store(Path(kept)))
                self.say(f"moved    {count} objects and entries of {kept}, which can go when no other server is in it")
            return url
        if kept and not Path(kept).is_dir():
            if url and {Path(before), whereabouts.named(self.bare)} & whereabouts.claims(Path(url)).keys():
                return url
            raise PushforwardError(
                f"the server's store {kept} is missing, and .dvc/config names {url or 'another'}",
                next=f"put {kept} back, or give it up: pushforward init --move-store",
                exit_code=TOOL,
            )
        self.say(
            f"kept     the store {kept or 'that is no folder of this machine'}, though .dvc/config here means "
            f"{url or 'another'}; to move it: pushforward init --move-store"
        )
        return kept

    def _must_hold_versions(self, url: str) -> None:
        """Refuse an empty folder as the store of a repository with versions whose own store is not known any more."""
        if not url or self.wishes.move_store or (Path(url) / "files").is_dir():
            return
        if self._versions():
            raise PushforwardError(
                f"{self.bare} has versions, and {url}, which .dvc/config here names, holds none of their objects",
                next="pushforward init in the clone whose store it is, or pushforward init --move-store",
                exit_code=TOOL,
            )

    def _versions(self) -> bool:
        """Whether the repository has versions, which are nothing without their objects."""
        from pushforward.registry import tags as registry

        return any("@v" in ref.name for ref in registry.own(self.repository.refs(*registry.PLACES)))

    def _restore_signers(self) -> None:
        """Take the allowed signers from the ref that publishes them where the file is lost."""
        text = self.repository.read(TRUST, ssh.FILE)
        path = self.bare / FOLDER / ssh.FILE
        if text is None or (path.is_file() and path.read_text(encoding="utf-8", errors="replace").strip()):
            return
        people = sum(not signer.valid_before for signer in ssh.read(text.decode("utf-8", "replace")))
        durable.write(path, text, mode=SHOWN)
        self.say(f"restored {people} keys, from {TRUST}")

    def _tell_lost(self, folder: Path) -> None:
        """What no copy is of, where a server that was here before has it no more."""
        lost = [] if self.known else ["whether --protect-main or --trust-pushers was set"]
        if not (folder / ssh.FILE).is_file():
            lost.append(f"who may sign, and {TRUST} is not here")
        if not (folder / "seal").is_file() and self.repository.refs(HOLDOUTS):
            lost.append("the seal of numbers not told yet")
        if self.old and lost:
            self.say(f"lost     what only the folder knew: {', '.join(lost)}")

    def _sign(self) -> None:
        """A key of the server's own; one that was lost is ended as of now, and what it signed stays good."""
        had = signers.private_key(self.bare).is_file()
        known = self.repository.read(TRUST, ssh.FILE) is not None
        if self.wishes.new_key and had:
            signers.drop_own_key(self.bare)
        own = signers.own_key(self.bare)
        if known and (self.wishes.new_key or not had):
            self.say(f"key      {own.fingerprint} signs from now on; what the one before has signed stays good")

    def _know(self, made: Server, wanted: "Settings") -> None:
        """Tell the policy the model and environments of the default branch; a clone says it where there is none yet."""
        from pushforward import settings

        with contextlib.suppress(PushforwardError):  # the last that could be read stays, if there is one
            text = self.repository.read_plain("HEAD", files.SETTINGS) if self.repository.resolve("HEAD") else None
            wanted = settings.parse(text) if text else wanted
            made.know(wanted.project.models, wanted.promote.environments)
            return
        if not made.known():
            made.know(wanted.project.models, wanted.promote.environments)


def renew(server: Server) -> Iterator[str]:
    """Give a server the settings, the hooks and the copy of the tool that init makes; a line for what was otherwise."""
    before = server.repository.git("config", "--local", "--list", check=False).text
    _configure(server.repository)
    if server.repository.git("config", "--local", "--list", check=False).text != before:
        yield f"{server.bare}/config is as pushforward init makes it"
    for name, text in hooks(server).items():
        path = Path(server.bare) / "hooks" / name
        if not (path.is_file() and os.access(path, os.X_OK) and path.read_bytes() == text.encode()):
            write_hook(path, text)
            yield f"{path} is as pushforward init makes it"
    own, copy = Path(__file__).parent.parent, server.folder / "lib" / FOLDER
    if _sources(own) != _sources(copy):
        tool.copy(server.folder / "lib")
        yield f"{copy} is the tool at hand"


def _sources(folder: Path) -> dict[str, bytes]:
    found = [path for path in folder.rglob("*") if path.is_file() and not path.is_symlink() and path.suffix != ".pyc"]
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}


def _share(server: Server) -> None:
    """Let the group push where git's configuration does: read what the policy reads, leave what the dispatcher reads.

    What the owner's dispatcher runs, and whose signatures count, the group does not change.
    """
    shared = server.repository.git("config", "--get", "core.sharedRepository", check=False).text.lower()
    if shared not in SHARED and not shared.startswith("0"):
        return
    own, lib, hooked = server.folder, server.folder / "lib", Path(server.bare) / "hooks"
    told = [server.folder / name for name in (DELETED, PUSHED)]
    for path in told:
        path.mkdir(exist_ok=True)
    group = Path(server.bare).stat().st_gid
    read = (own, own / "server.json", own / "registry.json", lib, *lib.rglob("*"), hooked, *hooked.iterdir(), *told)
    for path in (path for path in read if not path.is_symlink()):
        os.chown(path, -1, group)
        path.chmod((path.stat().st_mode | (0o050 if path.is_dir() else 0o040)) & ~0o022)
    for path in told:
        path.chmod(path.stat().st_mode | 0o070)


def welcome(server: Server, clone: Path) -> ssh.Signer:
    """The key of the person at work. Where git signs with it and nobody signs yet, it is trusted for everything.

    An error where git does not know it, or where others are trusted already: one of them says so of the next.
    """
    repository, bare = Repository(clone), Path(server.bare)
    key, who = signers.mine(repository), person.address(repository)
    known = ssh.read(trust.server_file(bare).read_text())
    for there in known:
        if there.key == key:
            return there
    others = any(not one.valid_before and one.principal != SERVICE_EMAIL for one in known)
    if others or _server_of(repository) == bare or whereabouts.owner_elsewhere(bare):
        raise PushforwardError("nobody trusts your key here yet", next="pushforward trust KEY.pub")
    return signers.add(signers.place_of(clone, bare), key, who)


def join(clone: Path) -> remote.Remote | None:
    """Join the server that `local` is on another machine; None where `local` is a folder of this one, or is not.

    What the server runs and knows stays there: this only has `git fetch` bring its reports along.
    """
    repository = Repository(clone)
    local = remote.of(repository)
    if local is None or local.folder is not None:
        return None
    if not repository.remote("ls-remote", REMOTE, TRUST, check=False).text:
        raise PushforwardError(
            f"the git remote '{REMOTE}' is {local.url}, and no server of pushforward answers there",
            next=local.command("pushforward check"),
            exit_code=TOOL,
        )
    _fetch_reports(repository)
    return local


def _own(repository: Repository) -> Path | None:
    """The server that this clone already has, also where all but its repository is lost."""
    local = remote.of(repository)
    if local is None or local.folder is None or not (local.folder / "HEAD").is_file():
        return None
    has_been = (local.folder / whereabouts.SETTINGS).is_file() or Repository(local.folder).resolve(TRUST)
    return local.folder if has_been else None


def _server_of(repository: Repository) -> Path | None:
    """The server that a remote of this clone already is; a colleague's clone joins it."""
    for name in repository.git("remote").text.split():
        asked = remote.of(repository, name)
        if name != REMOTE and asked and asked.folder and (asked.folder / whereabouts.SETTINGS).is_file():
            return Path(os.path.normpath(asked.folder.absolute()))
    return None


def _add_remote(repository: Repository, bare: Path) -> None:
    known = remote.of(repository)
    if known is not None and known.folder != bare:
        raise PushforwardError(
            f"the git remote '{REMOTE}' already is {known.url}", next=f"git remote rename {REMOTE} other"
        )
    if known is None:
        repository.git("remote", "add", REMOTE, str(bare))
    _fetch_reports(repository)


def _fetch_reports(repository: Repository) -> None:
    # `git fetch` brings the reports along, a pattern, for there are none before the first verdict; and all versions:
    # by itself it follows tags of branches only, and a version may name a lock commit beside them
    for spec in (f"+{NOTES}*:{NOTES}*", "refs/tags/*:refs/tags/*", f"+{FOREIGN}*:{FOREIGN}*"):
        if spec not in repository.git("config", "--get-all", f"remote.{REMOTE}.fetch", check=False).text.split("\n"):
            repository.git("config", "--add", f"remote.{REMOTE}.fetch", spec)
    # with fetch.prune a fetch would delete each tag that is of this clone, or of another remote, and not of the server
    if not repository.git("config", "--get", f"remote.{REMOTE}.prune", check=False).text:
        repository.git("config", f"remote.{REMOTE}.prune", "false")


def _configure(bare: Repository) -> None:
    settings = {
        "core.logAllRefUpdates": "always",  # what any ref was at is known, and so where a damaged one goes back to
        "core.fsync": "all",
        "core.alternateRefsPrefixes": HEADS,  # a push is held against branches alone, not against every ref of history
        "core.hooksPath": HOOKS_PATH,  # a hooksPath of the user's would switch the policy off
        "receive.advertisePushOptions": "true",
        "receive.fsckObjects": "true",
        "receive.maxInputSize": str(LIMIT_PUSH),
        "gc.reflogExpire": "never",
        "gc.reflogExpireUnreachable": "never",
    }
    for key, value in settings.items():
        bare.git("config", key, value)
        _check_rules(bare, key, value)
    if hidden(bare) != HIDDEN:
        bare.git("config", "--unset-all", "receive.hideRefs", check=False)
        for ref in HIDDEN:
            bare.git("config", "--add", "receive.hideRefs", ref)


def _check_rules(bare: Repository, key: str, wanted: str) -> None:
    """Refuse a setting that another file overrules, as the one of a worktree or an included one does."""
    origin, _, value = bare.git("config", "--show-origin", "--get", key, check=False).text.partition("\t")
    if value == wanted:
        return
    place = Path(bare.path, origin.removeprefix("file:"))
    raise PushforwardError(
        f"{place} says {key} = {value}, which overrules what a server has to have: {wanted}",
        next=f"git config --file {shlex.quote(str(place))} --unset-all {key}, then this again",
    )


def hidden(bare: Repository) -> tuple[str, ...]:
    """What the server's own configuration says of the refs that pushers need not see."""
    return tuple(bare.git("config", "--local", "--get-all", "receive.hideRefs", check=False).text.split("\n"))


def _store(clone: Path) -> tuple[str, str]:
    """The name of the project's default DVC remote, and its folder; "" where it is not a folder of this machine."""
    from pushforward.pipeline.storage import home  # a hook reads this module too, and needs no project

    config, own = configparser.ConfigParser(interpolation=None), clone / home(clone) / ".dvc"
    try:
        config.read(own / "config")
    except configparser.Error as broken:
        raise PushforwardError(f".dvc/config: {str(broken).splitlines()[0]}", next="dvc config --list") from None
    if not (own / "config").is_file():
        _left_out(clone, own / "config")
    name = config.get("core", "remote", fallback="")
    url = config.get(f"'remote \"{name}\"'", "url", fallback="") if name else ""
    if not url:
        raise PushforwardError(
            ".dvc/config names no default remote", next=f"dvc remote add -d store ../{clone.name}.dvc"
        )
    return name, "" if "://" in url else os.path.normpath(own / url)


def _left_out(clone: Path, path: Path) -> None:
    """Refuse a sparse checkout that leaves out a file that the commit has."""
    repository, name = Repository(clone), os.path.relpath(path, clone)
    sparse = repository.git("config", "--type=bool", "--get", "core.sparseCheckout", check=False).text == "true"
    if sparse and repository.read("HEAD", name) is not None:
        folder = shlex.quote(str(Path(name).parent))
        raise PushforwardError(f"this sparse checkout leaves out {name}", next=f"git sparse-checkout add {folder}")


def _write_token(path: Path) -> None:
    """What tells a push by a run of this server from a push by a person."""
    if not path.is_file() or not path.read_text(encoding="utf-8", errors="replace").strip():
        path.touch(mode=0o600)
        path.write_text(secrets.token_hex(32) + "\n")
    for secret in (path, path.with_name("seal")):
        if secret.is_file():
            secret.chmod(0o600)
