"""The log files of one run, bounded, while act writes them; `supervisor` feeds them, line by line."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import IO

from pushforward.actions.log import Mask, Progress, Reader, parse
from pushforward.actions.place import Place
from pushforward.text import clean

MAX_LINE = 1 << 20  # bytes of one line of act's log; the rest of a longer one is dropped
MAX_LOG = 64 << 20  # bytes kept of each log file
MAX_TOLD = 8 << 20  # characters that whoever follows a run is told
MAX_MASKS = 50  # that steps may add: each is looked for in every line


@dataclass
class RunLog:
    """Both log files of a run, bounded, and whoever follows it."""

    place: Place
    mask: Mask
    reader: Reader
    on_event: Callable[[Progress], None]
    _files: list[IO[str]] = field(default_factory=list)
    _left: dict[int, int] = field(default_factory=dict)
    _summaries: list[Progress] = field(default_factory=list)
    _told: int = 0
    _shortened: bool = False
    _masks: int = 0

    def __enter__(self) -> "RunLog":
        self._files = [path.open("w", encoding="utf-8") for path in (self.place.log, self.place.json_log)]
        self._left = {0: MAX_LOG, 1: MAX_LOG}
        return self

    def __exit__(self, *_: object) -> None:
        for summary in self._summaries:
            self.tell(replace(summary, text=self.mask.apply(summary.text)))
        for file in self._files:
            file.close()
        if self.mask.learned:
            for path in (self.place.log, self.place.json_log):
                path.write_text(self.mask.apply(path.read_text(encoding="utf-8")), encoding="utf-8")

    def take(self, line: bytes) -> None:
        """One line of act: keep it, learn from it, tell of it."""
        if self._left[0] < 0 and self._left[1] < 0 and b'"raw_output":true' in line:
            return
        entry = parse(line)
        if isinstance(entry, str) and entry.startswith("{"):
            self._write(0, f"  … (a line of more than {MAX_LINE} bytes is left out)")
            if not self._shortened:
                self._shortened = True
                at = f"{self.reader.at_work()}: " if self.reader.at_work() else ""
                self.tell(Progress("warning", f"{at}a line of more than {MAX_LINE >> 20} MiB of output is left out"))
            return
        if isinstance(entry, str):
            for progress in self.reader.plain(self.mask.apply(entry)):
                self.tell(progress)
            return
        if entry.get("command") == "add-mask" and self._masks < MAX_MASKS:
            self._masks += 1
            self.mask.learn(str(entry.get("arg", "")))
        entry = self.mask.apply_all(entry)
        self._write(1, json.dumps(entry, ensure_ascii=False))
        if entry.get("raw_output"):
            self._line(entry)
        for progress in self.reader.read(entry):
            if progress.kind == "summary":
                # act can tell of a step's last commands, a new secret among them, after it has told of its summary
                self._summaries.append(progress)
            else:
                self.tell(progress)

    def tell(self, progress: Progress) -> None:
        """Write one piece of progress into the readable log, and pass it on."""
        marks = {"job-start": "job", "step-start": "step", "job-end": "job", "step-end": "step"}
        if progress.kind in marks:
            ended = f" {progress.result}, {progress.seconds or 0:.1f} s" if progress.result else ""
            name = progress.text if progress.kind.endswith("start") else progress.step or progress.job
            self._write(0, f"{marks[progress.kind]} {name}{':' + ended if ended else ''}")
        elif progress.kind != "output":
            self._write(0, f"{progress.kind}: {progress.text}")
        if progress.kind not in marks:
            self._told += len(progress.text)
            if self._told > MAX_TOLD:
                return
        self.on_event(progress)

    def _line(self, entry: Mapping[str, object]) -> None:
        self._write(0, f"  {clean(str(entry.get('msg', '')))}")

    def _write(self, number: int, line: str) -> None:
        if self._left[number] < 0:
            return
        self._left[number] -= len(line.encode("utf-8", "replace")) + 1
        if self._left[number] < 0:
            line = "… (cut: the log is full)" if number == 0 else '{"msg":"cut: the log is full"}'
        self._files[number].write(f"{line}\n")
        self._files[number].flush()


@dataclass
class Lines:
    """Bytes cut into lines; what a line has beyond the limit is dropped."""

    waiting: bytearray = field(default_factory=bytearray)

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """The lines that `chunk` ends; an empty chunk ends the last one."""
        if not chunk and self.waiting:
            yield bytes(self.waiting)
        start = 0
        while (end := chunk.find(b"\n", start)) >= 0:
            self._keep(chunk[start:end])
            yield bytes(self.waiting)
            self.waiting.clear()
            start = end + 1
        self._keep(chunk[start:])

    def _keep(self, part: bytes) -> None:
        self.waiting += part[: MAX_LINE - len(self.waiting)]
