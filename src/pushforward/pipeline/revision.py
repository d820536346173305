"""A revision: a commit and what it says of itself. Whoever asks a commit for its settings, lock or locks asks here."""

import hashlib
import json
import posixpath
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from pushforward import params, schema, settings, untrusted
from pushforward.errors import PushforwardError
from pushforward.git import kept
from pushforward.git.repository import Repository
from pushforward.pipeline import environment, folders
from pushforward.pipeline.lock import LOCK, PIPELINE, Wdirs, merged, read_lock, sources
from pushforward.settings import Settings

MANIFEST = "manifest.json"


@dataclass(frozen=True)
class Revision:
    """A commit of a repository, by whatever name git knows it, and what it says of itself: each is read once.

    A model's manifest is no part of it: DVC keeps that, and only a checkout has it.
    """

    repository: Repository
    commit: str
    model: str = ""  # the one that is meant, where there are several

    @cached_property
    def params(self) -> bytes | None:
        """The bytes of its params.yaml, None where it has none; an error where a link stands for it."""
        return self.repository.read_plain(self.commit, params.FILE)

    @cached_property
    def told(self) -> bytes | None:
        """The bytes of its pushforward.yaml, None where it has none; an error where a link stands for it."""
        return self.repository.read_plain(self.commit, schema.FILE)

    @cached_property
    def settings(self) -> Settings:
        """Its settings; `PushforwardError` where they cannot be read."""
        if self.told is None:
            words = f"{self.commit[:9]} has no {schema.FILE}"
            raise settings.absent(words, self.params, f"git log -- {schema.FILE}")
        return settings.parse(self.told, f"{self.commit[:9]}:{schema.FILE}").of(self.model)

    @cached_property
    def batches(self) -> list[str]:
        """The names of the batches that have arrived, in order; `PushforwardError` where nothing says them."""
        return self.settings.arrived(lambda file: self.repository.read_plain(self.commit, file), f"{self.commit[:9]}:")

    @cached_property
    def leaves(self) -> dict[str, Any]:
        """Every leaf of what a pipeline and this tool are told, not to be changed; nothing where there is no such file.

        Those of params.yaml by their dotted keys; those of pushforward.yaml, of a params.yaml beside another dvc.yaml,
        and of another file that lists the batches, with the file before the key.
        """
        found = {} if self.params is None else params.flatten(self.params, f"{self.commit[:9]}:{params.FILE}")
        others: dict[str, bytes | None] = {schema.FILE: self.told, **self._params}
        del others[params.FILE]
        if self.told is not None and (file := self._named[0]) not in ("", params.FILE):
            others[file] = self.repository.read_plain(self.commit, file)
        for file, text in others.items():
            leaves = {} if text is None else params.flatten(text, f"{self.commit[:9]}:{file}")
            found = found | {f"{file}: {key}": value for key, value in leaves.items()}
        return found

    @property
    def arrivals(self) -> str:
        """The leaf that lists the batches; "" where nothing does."""
        file, key = self._named
        return key if file == params.FILE else f"{file}: {key}" if file else ""

    @cached_property
    def tree(self) -> dict[str, str]:
        """Path -> "mode object" of its files."""
        return self.repository.tree(self.commit)

    @cached_property
    def folders(self) -> list[str]:
        """The folders of its pipeline: in each lies a dvc.yaml."""
        return folders.of_tree(self.tree, self.read)

    @cached_property
    def locks(self) -> dict[str, bytes]:
        """The bytes of each dvc.lock, by path."""
        own = self.repository.read_plain(self.commit, LOCK)
        return ({} if own is None else {LOCK: own}) | self._below(LOCK)

    @cached_property
    def wdirs(self) -> Wdirs:
        """Where the stages of each lock work, where that is elsewhere than in its folder."""
        texts = {folder: self.read(posixpath.join(folder, PIPELINE)) or b"" for folder in self.folders}
        return folders.wdirs_of(texts, self.read)

    @property
    def locks_digest(self) -> str:
        """SHA-256 of its dvc.lock, or of all that there are."""
        return kept.digest(self.locks, LOCK)

    @property
    def whole_lock(self) -> bytes:
        """All of its locks as one, named from the root; empty where it has none."""
        return merged(self.locks, self.wdirs)

    @property
    def lock(self) -> dict[str, Any]:
        """The stages of its locks by name; empty for none, and for one that cannot be read."""
        return read_lock(self.whole_lock)

    @property
    def params_digest(self) -> str:
        """SHA-256 of what its pipeline is told: of params.yaml, or of those beside every dvc.yaml."""
        return kept.digest(self._params, params.FILE)

    @cached_property
    def environment(self) -> str:
        """SHA-256 of the locks of its environment."""
        return environment.digest(self.repository, self.commit, self.settings.environment)

    @cached_property
    def unlocked(self) -> tuple[str, ...]:
        """The files of its environment that do not lock it, or that none is named; nothing where all is locked."""
        return environment.unlocked(self.repository, self.commit, self.settings.environment)

    def read(self, path: str) -> bytes | None:
        """The bytes of a file, or None where it has none of that name."""
        return self.repository.read(self.commit, path)

    @cached_property
    def _params(self) -> dict[str, bytes]:
        return {params.FILE: self.params or b""} | self._below(params.FILE)

    def _below(self, name: str) -> dict[str, bytes]:
        """The files of this name beside each dvc.yaml below the root, by path; an error where a link stands for one."""
        paths = [posixpath.join(folder, name) for folder in self.folders if folder]
        found = {path: self.repository.read_plain(self.commit, path) for path in paths if path in self.tree}
        return {path: content for path, content in found.items() if content is not None}

    @property
    def _named(self) -> tuple[str, str]:
        """The file and the key that list the batches; settings that cannot be read name none."""
        try:
            return self.settings.batches
        except PushforwardError:
            return "", ""


def settings_here(root: Path) -> Settings:
    """The settings that hold in the repository at `root`: of its HEAD, else of the folder."""
    head = Revision(Repository(root), "HEAD")
    if head.repository.resolve("HEAD") is None or head.told is None:
        return settings.load(root)
    return head.settings


def model_digest(path: Path) -> str:
    """SHA-256 of the model at `path`: of its one file beside the manifest, or of the list of its files' hashes."""
    if path.is_file():
        return sha256(path.read_bytes())
    files = sorted(one for one in path.rglob("*") if one.is_file() and one.name not in {MANIFEST, ".gitignore"})
    if not files:
        raise PushforwardError(f"{path.name} holds no model beside {MANIFEST}")
    if len(files) == 1:
        return sha256(files[0].read_bytes())
    lines = [f"{sha256(one.read_bytes())}  {one.relative_to(path).as_posix()}\n" for one in files]
    return sha256("".join(lines).encode())


def manifest_of(path: Path) -> dict[str, Any]:
    """What the model at `path` says of itself; nothing where it is one file, or a folder without a manifest."""
    content = manifest_bytes(path)
    return untrusted.plain_json(content, f"the model's {MANIFEST}") if content else {}


def manifest_bytes(path: Path) -> bytes:
    """The manifest of the model at `path` as it stands; empty where it has none."""
    place = path / MANIFEST
    return place.read_bytes() if place.is_file() else b""


def data_digest(manifest: bytes, lock: bytes | None, path: str) -> str:
    """SHA-256 of what the model at `path` was made from: the data of its manifest, else its sources in dvc.lock."""
    named = json.loads(manifest).get("data") if manifest else sources(lock, path)
    return sha256(json.dumps(named, sort_keys=True, separators=(",", ":")).encode())


def validation_month(manifest: dict[str, Any]) -> str:
    """The month that a model was watched on, by its manifest; "" where that does not say."""
    training = manifest.get("training")
    return str(training.get("validation_month", "")) if isinstance(training, dict) else ""


def sha256(content: bytes) -> str:
    """In hexadecimal."""
    return hashlib.sha256(content).hexdigest()
