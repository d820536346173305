"""Worker: the program that loads one version in its own environment and answers for it until its server is gone.

`channel` starts it, with the version's Python and the version's code on the path. That environment has nothing of the
tool's, so the standard library is all that this file imports. What comes in is pickled, for the server is who this
process serves; what goes out is one line of JSON and the bytes of doubles, for the server believes no version.
"""

import array
import contextlib
import hashlib
import importlib
import json
import pickle
import resource
import signal
import socket
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

ASKED = struct.Struct("!I")  # how many bytes the pickle has
SAID = struct.Struct("!II")  # how many the JSON has, and how many the doubles after it
PARENT_DEATH = 1  # PR_SET_PDEATHSIG of prctl(2)
SHORTEST = 16  # hexadecimal digits of a digest of features: it is compared, and proves nothing
LONGEST_WORDS = 500


def main() -> None:
    """Load what the first frame names, then answer one frame after the other; ends with the other end of the socket."""
    die_with_parent()
    line = socket.socket(fileno=int(sys.argv[1]))
    line.set_inheritable(False)
    with line, line.makefile("rb") as stream:
        predictor: Any = None
        for kind, told in _frames(stream):
            try:
                if kind == "load":
                    predictor, said, body = _load(**told), {"ok": "loaded"}, b""
                elif kind == "observe":
                    predictor.observe(told)
                    said, body = {"ok": "observed"}, b""
                else:
                    said, body = _predicted(predictor, told, features=kind == "features")
            except ValueError as refused:
                said, body = {"refused" if kind != "load" else "failed": _words(refused)}, b""
            except Exception as failed:  # noqa: BLE001, whatever a version does, it is told and not the end of it
                said, body = {"failed": f"{type(failed).__name__}: {_words(failed)}"}, b""
            head = json.dumps(said).encode()
            line.sendall(SAID.pack(len(head), len(body)) + head + body)


def _frames(stream: IO[bytes]) -> Iterator[tuple[str, Any]]:
    while len(size := stream.read(ASKED.size)) == ASKED.size:
        yield pickle.loads(stream.read(ASKED.unpack(size)[0]))  # noqa: S301, of the server alone


def _load(entry: str, folder: str, memory: int) -> Any:
    """The predictor that MODULE:CALLABLE gives for the model in `folder`, with no more memory than it may have."""
    resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    module, _, name = entry.partition(":")
    return getattr(importlib.import_module(module), name)(Path(folder))


def _predicted(predictor: Any, rows: dict[str, list[Any]], *, features: bool) -> tuple[dict[str, Any], bytes]:
    """The predictions as doubles, a column after the other, and if asked a digest of the features of each row."""
    columns = predictor.predict(rows)
    doubles = {name: array.array("d", values) for name, values in columns.items()}
    said: dict[str, Any] = {"ok": "predicted", "columns": {name: len(one) for name, one in doubles.items()}}
    if features and hasattr(predictor, "features"):
        values = predictor.features(rows)
        each = zip(*values.values(), strict=True)
        said["features"] = [hashlib.sha256(repr(one).encode()).hexdigest()[:SHORTEST] for one in each]
    return said, b"".join(one.tobytes() for one in doubles.values())


def _words(error: BaseException) -> str:
    return str(error)[:LONGEST_WORDS]


def die_with_parent(how: signal.Signals = signal.SIGKILL) -> None:
    """Have the kernel end this process with its server, also while the version's code hangs."""
    with contextlib.suppress(ImportError, OSError, AttributeError):
        import ctypes  # not every Python is built with it

        ctypes.CDLL(None).prctl(PARENT_DEATH, how)


if __name__ == "__main__":
    main()
