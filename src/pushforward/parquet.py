"""How large a parquet file is in memory, read from its footer: a table of kilobytes on disk can fill any machine.

The footer is Thrift's compact protocol (FileMetaData of the parquet format); only the sizes in it are read.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pushforward import pointers
from pushforward.errors import DATA, PushforwardError

MAGIC = (b"PAR1", b"PARE")
LIMIT_FOOTER = 32 * 1024 * 1024
LIMIT_DEPTH = 32
LIMIT_MEMORY = 4 * 1024**3
# What a value takes whatever its encoding: a number and its mask, or where a text lies and how long it is.
CELL_BYTES = 16

# Compact protocol: the types of fields and of list elements.
_TRUE, _FALSE, _BYTE, _DOUBLE, _BINARY, _LIST, _SET, _MAP, _STRUCT = 1, 2, 3, 7, 8, 9, 10, 11, 12


@dataclass(frozen=True)
class Size:
    """Rows, values, and bytes once decompressed: as the footer says."""

    rows: int
    values: int
    bytes: int

    @property
    def memory(self) -> int:
        """Bytes in memory, at the least."""
        return self.values * CELL_BYTES + self.bytes


def check(path: Path, name: str) -> None:
    """Refuse a file that is a pointer to one, and a table that would take more memory than `LIMIT_MEMORY`.

    What is no parquet file at all is left to its reader, which says so.
    """
    pointers.refuse(path, name)
    size = measure(path)
    if size is not None:
        bound(size.memory, name, f" ({size.rows:,} rows; {path.stat().st_size:,} on disk)")


def check_part(path: Path, name: str, values: int) -> None:
    """Refuse so many values of the file at `path` where they would take more memory; a text may be any of its own."""
    size = measure(path)
    bound(values * CELL_BYTES + (size.bytes if size else 0), name, " of the rows that are asked")


def bound(memory: int, name: str, more: str = "") -> None:
    """Refuse a table of so many bytes in memory where it is too large."""
    if memory > LIMIT_MEMORY:
        said = f"{name} takes {memory:,} bytes in memory{more}; the limit is {LIMIT_MEMORY:,}"
        raise PushforwardError(said, next="make smaller tables, or fewer columns", exit_code=DATA)


def measure(path: Path) -> Size | None:
    """What the footer of the parquet file at `path` says; None where it is none, or damaged."""
    with path.open("rb") as file:
        length = file.seek(0, 2)
        file.seek(max(0, length - 8))
        end = file.read(8)
        size = int.from_bytes(end[:4], "little")
        if len(end) < 8 or end[4:] not in MAGIC or size > min(LIMIT_FOOTER, length - 8):
            return None
        file.seek(length - 8 - size)
        footer = file.read(size)
    try:
        return _size(_Reader(footer).struct())
    except (IndexError, KeyError, TypeError, ValueError):
        return None


def _size(footer: dict[int, Any]) -> Size:
    chunks = [column[3] for group in footer.get(4, []) for column in group[1]]
    return Size(footer[3], sum(chunk[5] for chunk in chunks), sum(chunk[6] for chunk in chunks))


class _Reader:
    """Structs as dictionaries by field number; texts are passed over."""

    def __init__(self, data: bytes) -> None:
        self.data, self.place, self.depth = data, 0, 0

    def struct(self) -> dict[int, Any]:
        self.depth += 1
        if self.depth > LIMIT_DEPTH:
            raise ValueError("nested too deeply")
        found = dict(self._fields())
        self.depth -= 1
        return found

    def _fields(self) -> Iterator[tuple[int, Any]]:
        number = 0
        while head := self._byte():
            number = number + (head >> 4) if head >> 4 else self._signed()
            kind = head & 15
            yield number, kind == _TRUE if kind in (_TRUE, _FALSE) else self._value(kind)

    def _value(self, kind: int) -> Any:
        if kind == _STRUCT:
            return self.struct()
        if kind in (_LIST, _SET):
            return self._list()
        if kind == _BINARY:
            return self._skip(self._unsigned())
        if kind == _DOUBLE:
            return self._skip(8)
        if kind in (_TRUE, _FALSE, _BYTE):  # an element of a list
            return self._byte()
        if kind == _MAP:
            raise ValueError("a footer has no maps")
        return self._signed()

    def _list(self) -> list[Any]:
        head = self._byte()
        count = head >> 4 if head >> 4 < 15 else self._unsigned()
        if count > len(self.data):
            raise ValueError("more elements than bytes")
        return [self._value(head & 15) for _ in range(count)]

    def _skip(self, count: int) -> None:
        self.place += count

    def _byte(self) -> int:
        self.place += 1
        return self.data[self.place - 1]

    def _unsigned(self) -> int:
        value = shift = 0
        while True:
            byte = self._byte()
            value |= (byte & 127) << shift
            if byte < 128:
                return value
            shift += 7
            if shift > 63:
                raise ValueError("no number of 64 bits")

    def _signed(self) -> int:
        value = self._unsigned()
        return (value >> 1) ^ -(value & 1)
