"""What a revision says of itself: its settings, its model's bytes and manifest."""

import hashlib
from pathlib import Path
from typing import Any

from pushforward import settings, untrusted
from pushforward.errors import PushforwardError
from pushforward.git.repository import Repository
from pushforward.settings import Settings

MANIFEST = "manifest.json"


def settings_at(repository: Repository, commit: str) -> Settings:
    """The settings of a commit; `PushforwardError` where they cannot be read."""
    text = repository.read_plain(commit, "params.yaml")
    if text is None:
        raise PushforwardError(f"{commit[:9]} has no params.yaml", next="git log -- params.yaml")
    return settings.parse(text, f"{commit[:9]}:params.yaml")


def leaves_at(repository: Repository, commit: str) -> dict[str, Any]:
    """Every leaf of params.yaml at a commit by its dotted key; nothing where the commit has none."""
    text = repository.read(commit, "params.yaml")
    return settings.flatten(text, f"{commit[:9]}:params.yaml") if text else {}


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
