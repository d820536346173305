"""What is still to be told, on disk: a file a message and target, tried again, dropped at last and then said to be.

`server.telling` puts and sends; `installation`, for `check`, asks what waits and what was dropped. No address is here:
that is looked up by its name when a message is sent.
"""

import contextlib
import dataclasses
import json
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from pushforward import durable
from pushforward.errors import PushforwardError
from pushforward.notify import targets
from pushforward.notify.news import News
from pushforward.schema import Target
from pushforward.text import plain

DROPPED = "dropped.log"
LOCK, STANDBY = "sending", "sending.next"
# Between one try and the next; after the last of them a message is dropped.
PAUSES = (5.0, 20.0, 120.0, 600.0, 3600.0, 4 * 3600.0, 12 * 3600.0)
OLDEST_SECONDS = 3 * 24 * 3600.0
PATIENCE_SECONDS = 30.0  # whoever sends waits as long for the next try; what is later waits for the next dispatch
MOST = 200  # messages that wait
MOST_DROPPED = 200  # lines


@dataclass(frozen=True)
class Item:
    """A message that waits, for the target `name`."""

    name: str
    target: Target
    news: News
    identity: str
    since: float
    due: float
    tries: int = 0
    why: str = ""


_ITEM = TypeAdapter(Item)


@dataclass(frozen=True)
class Spool:
    """The messages in `folder`; `say` gets a line for each that was sent, put off or dropped."""

    folder: Path
    say: Callable[[str], None] = lambda _: None

    def put(self, wanted: Mapping[str, Target], news: News) -> int:
        """Let it be told to every target that wants to hear of such an event; how many those are."""
        hearing = {name: target for name, target in wanted.items() if news.event in target.events}
        for name, target in hearing.items():
            now = time.time()
            self._write(Item(name, target, news, secrets.token_hex(12), now, now))
        for path in self._paths()[:-MOST]:
            self._drop(path, f"more than {MOST} messages wait")
        return len(hearing)

    def waiting(self) -> Iterator[Item]:
        """What waits, the oldest first."""
        yield from (item for path in self._paths() if (item := self._read(path)) is not None)

    def dropped(self) -> list[str]:
        """What was dropped: when, what, for whom, why."""
        path = self.folder / DROPPED
        return path.read_text("utf-8").splitlines() if path.is_file() else []

    def send(self, known: Mapping[str, str]) -> None:
        """Send what is due, and what is due soon; `known` are the addresses by name.

        One process sends, one may stand by, which looks again when it has taken over: a third has nothing to do.
        """
        if not self._paths():
            return
        with contextlib.ExitStack() as stack:
            with durable.attempted(self.folder / STANDBY) as mine:
                if not mine:
                    return
                stack.enter_context(durable.locked(self.folder / LOCK))
            while self._round(known):
                pass

    def _round(self, known: Mapping[str, str]) -> bool:
        """Try all that is due, and wait for what is due soon; whether there is such."""
        for path in self._paths():
            self._try(path, known)
        soon = min((item.due for item in self.waiting()), default=None)
        if soon is None or soon - time.time() > PATIENCE_SECONDS:
            return False
        time.sleep(max(0.0, soon - time.time()))
        return True

    def _try(self, path: Path, known: Mapping[str, str]) -> None:
        item = self._read(path)
        if item is None:
            self._drop(path, "it cannot be read")
            return
        if item.due > time.time():
            return
        what = f"{item.news.event} to {item.name}: {item.news.title}"
        try:
            targets.send(item.target, targets.address(item.target, known), item.news, item.identity)
        except PushforwardError as unset:
            self._put_off(path, item, unset.message)
        except targets.UndeliveredError as failed:
            if failed.final:
                self._drop(path, str(failed))
            else:
                self._put_off(path, item, str(failed), failed.wait)
        else:
            path.unlink(missing_ok=True)
            self.say(f"told {what}")

    def _put_off(self, path: Path, item: Item, why: str, wait: float = 0.0) -> None:
        now = time.time()
        if item.tries >= len(PAUSES) or now - item.since > OLDEST_SECONDS:
            self._drop(path, f"{why}, after {item.tries + 1} tries")
            return
        due = now + max(wait, PAUSES[item.tries])
        self._write(dataclasses.replace(item, tries=item.tries + 1, due=due, why=why), path)
        self.say(f"not told yet, {item.news.event} to {item.name}: {why}")

    def _drop(self, path: Path, why: str) -> None:
        item = self._read(path)
        what = f"{item.news.event} to {item.name}: {item.news.title}" if item else path.name
        moment = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime())
        lines = [*self.dropped(), plain(f"{moment} {what} ({why})", 600)][-MOST_DROPPED:]
        durable.write(self.folder / DROPPED, "\n".join(lines) + "\n", mode=0o600)
        path.unlink(missing_ok=True)
        self.say(f"dropped {what}: {why}")

    def _paths(self) -> list[Path]:
        return sorted(self.folder.glob("*.json"))

    def _read(self, path: Path) -> Item | None:
        try:
            return _ITEM.validate_json(path.read_bytes())
        except (FileNotFoundError, ValidationError):
            return None

    def _write(self, item: Item, path: Path | None = None) -> None:
        self.folder.mkdir(mode=0o700, exist_ok=True)
        path = path or self.folder / f"{time.time_ns():020d}-{secrets.token_hex(4)}.json"
        tree: dict[str, Any] = dataclasses.asdict(item) | {"target": item.target.model_dump()}
        durable.write(path, json.dumps(tree), mode=0o600)
