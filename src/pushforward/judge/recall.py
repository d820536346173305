"""Predictions that the judge has made before: kept by all that they follow from, so that nothing is scored twice.

They lie beside the ledger, where no run of a pull request can write, and each file's name is closed with the key that
seals the ledger's numbers: what somebody else has put there is not taken, and the model is asked again. `case` asks.
"""

import contextlib
import hashlib
import hmac
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from pushforward.durable import UNFINISHED
from pushforward.git.remote import is_server
from pushforward.git.server import ANSWERS, FOLDER
from pushforward.judge import identity, ledger
from pushforward.pipeline.revision import Revision, sha256

MOST = 32  # the champion's, those of challengers that may become one, and their pictures, of a few models
LARGEST = 64 * 1024 * 1024


def name_of(revision: Revision, model: Path, tables: Iterable[Path]) -> str:
    """SHA-256 of all that predictions follow from.

    That is every file of the model, the code of a revision that scores, its environment, and the tables with the rows
    and all that they are told.
    """
    files = sorted(path for path in model.rglob("*") if path.is_file()) if model.is_dir() else [model]
    parts = [
        *(f"{path.relative_to(model).as_posix()} {_digest(path)}" for path in files),
        identity.scoring(revision.repository, revision.commit, revision.model),
        revision.environment,
        *(f"{table.name} {_digest(table)}" for table in tables),
    ]
    return sha256("\n".join(parts).encode())


@dataclass(frozen=True)
class Recall:
    """The predictions that are kept in `folder`, closed with `key`; none where there is no server, or no name."""

    folder: Path | None
    key: bytes

    def find(self, name: str, out: Path) -> bool:
        """Whether the predictions of this name are kept; then they are at `out`."""
        for path in self._of(name, out):
            if path.is_symlink() or not path.is_file():
                continue
            try:
                shutil.copyfile(path, out)
            except OSError:  # another run's judge has put newer ones in its place
                out.unlink(missing_ok=True)
                continue
            if hmac.compare_digest(path.name, self._closed(name, out)):
                with contextlib.suppress(OSError):
                    path.touch()  # what is asked for stays
                return True
            out.unlink()
        return False

    def keep(self, name: str, out: Path) -> None:
        """Keep the predictions at `out`, and the newest of those before; a place that is full keeps none."""
        if self.folder is None or not name or out.stat().st_size > LARGEST:
            return
        path = self.folder / self._closed(name, out)
        fresh = path.with_name(path.name + UNFINISHED)
        with contextlib.suppress(OSError):
            self.folder.mkdir(exist_ok=True)
            shutil.copyfile(out, fresh)
            for before in self._of(name, out):
                before.unlink(missing_ok=True)
            fresh.replace(path)
            for old in sorted(self.folder.iterdir(), key=lambda one: one.lstat().st_mtime)[:-MOST]:
                old.unlink()

    def _of(self, name: str, out: Path) -> list[Path]:
        """What is kept by this name, of the kind of `out`."""
        return sorted(self.folder.glob(f"{name}-*{out.suffix}")) if self.folder is not None and name else []

    def _closed(self, name: str, out: Path) -> str:
        """The name of the file: nobody who lacks the key can give its content this one."""
        seal = hmac.new(self.key, f"{ANSWERS} {name} {_digest(out)}".encode(), hashlib.sha256)
        return f"{name}-{seal.hexdigest()}{out.suffix}"


def of(root: Path) -> Recall:
    """What is kept for the project that is checked out in `root`."""
    book = ledger.of(root)
    kept = book.key and not book.remote and is_server(book.repository.path)
    return Recall(book.repository.path / FOLDER / ANSWERS if kept else None, book.key)


def _digest(path: Path) -> str:
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
