"""Where the project in a checkout keeps its data, by .dvc/config: read here, and written for another checkout.

`.dvc` lies in the root, or where `dvc init --subdir` has put it: that folder is the home of the project.
"""

import configparser
import os
import posixpath
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pushforward import files
from pushforward.errors import USAGE, PushforwardError
from pushforward.git.repository import Repository

CONFIG = ".dvc/config"
LOCAL = ".dvc/config.local"
WEB = ("http://", "https://")


@dataclass(frozen=True)
class Storage:
    """Where the project in a checkout keeps its data: the cache, and the default remote with all of its options.

    The remote's `options` may hold secrets (of `dvc remote modify --local`); a relative `url` is made absolute. Without
    a remote there are none, and `remote` is "".
    """

    cache: Path
    remote: str = ""
    options: Mapping[str, str] = field(default_factory=dict)

    @property
    def url(self) -> str:
        """The address of the remote, "" where there is none."""
        return self.options.get("url", "")

    @property
    def read_only(self) -> bool:
        """Whether the remote can be read and, unless somebody has set it up to, takes nothing: a place in the web."""
        return self.url.startswith(WEB) and "method" not in self.options

    def refuse_read_only(self) -> None:
        """Refuse a remote that takes nothing, where the models of versions have to lie in it."""
        if self.read_only:
            raise PushforwardError(
                f".dvc/config: the remote {self.remote} ({self.url}) can only be read: no version has where to lie",
                next="dvc remote add -d store PATH, dvc push, git commit, and pushforward init --move-store",
                exit_code=USAGE,
            )

    def config(self) -> str:
        """A .dvc/config.local by which another checkout uses the same."""
        lines = ["[cache]", f"    dir = {_quoted(str(self.cache))}"]
        if self.remote:
            lines += ["[core]", f"    remote = {self.remote}", f"['remote \"{self.remote}\"']"]
            lines += [f"    {name} = {_quoted(value)}" for name, value in self.options.items()]
        return "\n".join(lines) + "\n"


def homes(paths: Iterable[str]) -> list[str]:
    """The folders of the DVC projects of a repository with these files; the root, "", where it has none."""
    found = (path for path in paths if f"/{path}".endswith(f"/{CONFIG}"))
    return sorted(posixpath.dirname(posixpath.dirname(path)) for path in found) or [""]


def home_of(paths: Iterable[str]) -> str:
    """The folder of the DVC project of a repository with these files: the root, or the one that was made below."""
    found = homes(paths)
    if "" in found:
        return ""
    if len(found) > 1:
        raise PushforwardError(
            f"there are several DVC projects in one repository: {', '.join(f'{home}/.dvc' for home in found[:5])}",
            next="dvc init in the root, or keep one of them",
        )
    return found[0]


def home(root: Path) -> str:
    """The same of the checkout at `root`."""
    if (root / ".dvc").is_symlink() or (root / ".dvc").exists():
        return ""
    listed = Repository(root).git(
        "ls-files", "-z", "-co", "--exclude-standard", "--", f":(glob)**/{CONFIG}", check=False
    )
    return home_of(listed.stdout.decode("utf-8", "surrogateescape").split("\0") if listed.returncode == 0 else ())


def is_project(root: Path) -> bool:
    """Whether a DVC project is at `root`, or below it."""
    return (root / home(root) / ".dvc").is_dir()


def storage(root: Path) -> Storage:
    """What .dvc/config and config.local of the checkout in `root` say."""
    config = configparser.ConfigParser(interpolation=None)
    base = home(root)
    for path in (posixpath.join(base, CONFIG), posixpath.join(base, LOCAL)):
        try:
            config.read(files.place(root, path))
        except (configparser.Error, UnicodeDecodeError) as wrong:
            line = getattr(wrong, "lineno", "") or next((at for at, _ in getattr(wrong, "errors", [])), "")
            where = f"{path}:{line}" if line else path
            raise PushforwardError(f"{where}: it is no section and no setting", next=f"edit {path}") from None
    name = config.get("core", "remote", fallback="")
    section = f"'remote \"{name}\"'"
    own = root / base / ".dvc"
    cache = own / _unquoted(config.get("cache", "dir", fallback="cache"))
    if cache == own / "cache" and cache.is_symlink():
        to = shlex.quote(str(cache.resolve()))
        raise files.LinkError(".dvc/cache", next=f"rm .dvc/cache && dvc cache dir --local {to}")
    options = {key: _unquoted(value) for key, value in config.items(section)} if config.has_section(section) else {}
    if "url" not in options:
        return Storage(Path(os.path.normpath(cache)))
    url = options["url"]
    options["url"] = url if "://" in url else os.path.normpath(own / url)
    return Storage(Path(os.path.normpath(cache)), name, options)


def own_options(root: Path) -> dict[str, str]:
    """What .dvc/config.local alone says of the default remote of the checkout in `root`: a login, for one."""
    config = configparser.ConfigParser(interpolation=None)
    name = storage(root).remote  # refuses what cannot be read
    config.read(files.place(root, posixpath.join(home(root), LOCAL)))
    section = f"'remote \"{name}\"'"
    found = config.items(section) if config.has_section(section) else []
    return {key: _unquoted(value) for key, value in found if key != "url"}


def _quoted(value: str) -> str:
    # DVC takes a comma for the end of a word, and # for the end of the line
    sign = next((sign for sign in ('"', "'") if sign not in value), "'''")
    return f"{sign}{value}{sign}"


def _unquoted(value: str) -> str:
    for sign in ("'''", '"', "'"):
        if len(value) >= 2 * len(sign) and value.startswith(sign) and value.endswith(sign):
            return value[len(sign) : -len(sign)]
    return value
