"""A revision: a commit and what it says of itself. Whoever asks a commit for its settings, lock or locks asks here."""

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from pushforward import settings, untrusted
from pushforward.errors import PushforwardError
from pushforward.git.repository import Repository
from pushforward.pipeline import environment
from pushforward.pipeline.lock import LOCK, read_lock
from pushforward.settings import Settings

MANIFEST = "manifest.json"


@dataclass(frozen=True)
class Revision:
    """A commit of a repository, by whatever name git knows it, and what it says of itself: each is read once.

    A model's manifest is no part of it: DVC keeps that, and only a checkout has it.
    """

    repository: Repository
    commit: str

    @cached_property
    def params(self) -> bytes | None:
        """The bytes of its params.yaml, None where it has none; an error where a link stands for it."""
        return self.repository.read_plain(self.commit, settings.FILE)

    @cached_property
    def settings(self) -> Settings:
        """Its settings; `PushforwardError` where they cannot be read."""
        if self.params is None:
            raise PushforwardError(f"{self.commit[:9]} has no {settings.FILE}", next=f"git log -- {settings.FILE}")
        return settings.parse(self.params, self._where)

    @cached_property
    def leaves(self) -> dict[str, Any]:
        """Every leaf of its params.yaml by dotted key, not to be changed; nothing where it has none."""
        return {} if self.params is None else settings.flatten(self.params, self._where)

    @cached_property
    def tree(self) -> dict[str, str]:
        """Path -> "mode object" of its files."""
        return self.repository.tree(self.commit)

    @cached_property
    def lock(self) -> dict[str, Any]:
        """The stages of its dvc.lock by name; empty for none, and for one that cannot be read."""
        return read_lock(self.read(LOCK))

    @cached_property
    def environment(self) -> str:
        """SHA-256 of the locks of its environment."""
        return environment.digest(self.repository, self.commit, self.settings.model.requirements)

    def read(self, path: str) -> bytes | None:
        """The bytes of a file, or None where it has none of that name."""
        return self.repository.read(self.commit, path)

    @property
    def _where(self) -> str:
        return f"{self.commit[:9]}:{settings.FILE}"


def settings_here(root: Path) -> Settings:
    """The settings that hold in the repository at `root`: of its HEAD, else of the folder."""
    head = Revision(Repository(root), "HEAD")
    return settings.load(root) if head.params is None else head.settings


def model_digest(folder: Path) -> str:
    """SHA-256 of the model in `folder`: of its one file beside the manifest, or of the list of its files' hashes."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name not in {MANIFEST, ".gitignore"})
    if not files:
        raise PushforwardError(f"{folder.name} holds no model beside {MANIFEST}")
    if len(files) == 1:
        return sha256(files[0].read_bytes())
    lines = [f"{sha256(path.read_bytes())}  {path.relative_to(folder).as_posix()}\n" for path in files]
    return sha256("".join(lines).encode())


def manifest_of(folder: Path) -> dict[str, Any]:
    """What the model in `folder` says of itself."""
    if not (folder / MANIFEST).is_file():
        raise PushforwardError(f"the model has no {MANIFEST}")
    return untrusted.plain_json((folder / MANIFEST).read_bytes(), f"the model's {MANIFEST}")


def validation_month(manifest: dict[str, Any]) -> str:
    """The month that a model was watched on, by its manifest; "" where that does not say."""
    training = manifest.get("training")
    return str(training.get("validation_month", "")) if isinstance(training, dict) else ""


def sha256(content: bytes) -> str:
    """In hexadecimal."""
    return hashlib.sha256(content).hexdigest()
