"""What a file is before it is read: a pointer to another one, or a table too large for memory.

A parquet file of kilobytes can fill any machine. Its footer, Thrift's compact protocol (FileMetaData of the format),
says how large it is; only the sizes in it are read.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

from flights.errors import StageError

MAGIC = (b"PAR1", b"PARE")
LIMIT_FOOTER = 32 * 1024 * 1024
LIMIT_DEPTH = 32
LIMIT_MEMORY = 4 * 1024**3
# What a value takes whatever its encoding: a number and its mask, or where a text lies and how long it is.
CELL_BYTES = 16
FIRST_BYTES = 1024
LFS = b"version https://git-lfs.github.com/spec/"

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


def check_file(file: BinaryIO, name: str, *, whole: bool = True) -> None:
    """Raise `StageError` for a pointer, and for a table that is too large; the file is at its beginning afterwards.

    What is not read as a `whole` may be of any size. What is no parquet file at all is left to its reader, which says
    so.
    """
    file.seek(0)
    start = file.read(FIRST_BYTES)
    size = measure(file)
    file.seek(0)
    if start.startswith(LFS):
        raise StageError(f"{name} is a Git LFS pointer, not the data", next_step="git lfs pull, then run again")
    lines = [line.strip() for line in start.splitlines()]
    if b"outs:" in lines and any(line.lstrip(b"- ").startswith((b"md5: ", b"etag: ")) for line in lines):
        raise StageError(f"{name} is a DVC pointer, not the data", next_step="dvc pull, then run again")
    if size is not None and whole:
        check_memory(size.memory, f"{name} ({size.rows:,} rows)")


def check_memory(memory: int, name: str) -> None:
    """Raise `StageError` for a table of more than `LIMIT_MEMORY` bytes."""
    if memory > LIMIT_MEMORY:
        said = f"{name} takes {memory:,} bytes in memory; the limit is {LIMIT_MEMORY:,}"
        raise StageError(said, next_step="is it one month of one table? then deliver it again")


def measure(file: BinaryIO) -> Size | None:
    """What the footer of a parquet file says; None where it is none, or damaged."""
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
