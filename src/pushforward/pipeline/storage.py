"""Where the project in a checkout keeps its data, by .dvc/config: read here, and written for another checkout."""

import configparser
import os
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pushforward import files
from pushforward.errors import USAGE, PushforwardError

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


def storage(root: Path) -> Storage:
    """What .dvc/config and config.local of the checkout in `root` say."""
    config = configparser.ConfigParser(interpolation=None)
    for path in (".dvc/config", ".dvc/config.local"):
        try:
            config.read(files.place(root, path))
        except (configparser.Error, UnicodeDecodeError) as wrong:
            line = getattr(wrong, "lineno", "") or next((at for at, _ in getattr(wrong, "errors", [])), "")
            where = f"{path}:{line}" if line else path
            raise PushforwardError(f"{where}: it is no section and no setting", next=f"edit {path}") from None
    name = config.get("core", "remote", fallback="")
    section = f"'remote \"{name}\"'"
    cache = root / ".dvc" / _unquoted(config.get("cache", "dir", fallback="cache"))
    if cache == root / ".dvc" / "cache" and cache.is_symlink():
        to = shlex.quote(str(cache.resolve()))
        raise files.LinkError(".dvc/cache", next=f"rm .dvc/cache && dvc cache dir --local {to}")
    options = {key: _unquoted(value) for key, value in config.items(section)} if config.has_section(section) else {}
    if "url" not in options:
        return Storage(Path(os.path.normpath(cache)))
    url = options["url"]
    options["url"] = url if "://" in url else os.path.normpath(root / ".dvc" / url)
    return Storage(Path(os.path.normpath(cache)), name, options)


def _quoted(value: str) -> str:
    # DVC takes a comma for the end of a word, and # for the end of the line
    sign = next((sign for sign in ('"', "'") if sign not in value), "'''")
    return f"{sign}{value}{sign}"


def _unquoted(value: str) -> str:
    for sign in ("'''", '"', "'"):
        if len(value) >= 2 * len(sign) and value.startswith(sign) and value.endswith(sign):
            return value[len(sign) : -len(sign)]
    return value
