"""Files that stand for another one, which whoever cloned has not brought in yet."""

from pathlib import Path

from pushforward.errors import DATA, PushforwardError

FIRST_BYTES = 1024
LFS = b"version https://git-lfs.github.com/spec/"
OUT_OF_LFS = "git lfs pull, take it out of LFS in .gitattributes, then git add --renormalize . && git commit"


def told(start: bytes) -> tuple[str, str] | None:
    """What a file that begins so stands in for, and the command that brings that; None for a file of its own."""
    if start.startswith(LFS):
        return "a Git LFS pointer", "git lfs pull"
    lines = start.replace(b"\r\n", b"\n").split(b"\n")
    if b"outs:" in lines and any(line.lstrip(b"- ").startswith((b"md5: ", b"etag: ")) for line in lines):
        return "a DVC pointer", "dvc pull"
    return None


def committed(start: bytes) -> tuple[str, str] | None:
    """The same of a file that a commit holds itself: what is brought in beside it is in no commit."""
    found = told(start)
    return found and (found[0], OUT_OF_LFS if start.startswith(LFS) else "commit the file itself")


def refuse(path: Path, name: str) -> None:
    """Refuse a file that is a pointer; one that is not there is left to its reader."""
    if not path.is_file():
        return
    with path.open("rb") as file:
        found = told(file.read(FIRST_BYTES))
    if found:
        raise PushforwardError(f"{name} is {found[0]}, not what it points to", next=found[1], exit_code=DATA)
