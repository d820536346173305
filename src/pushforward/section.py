"""Sections of pushforward.yaml: what each is made of, and the words, paths and columns that stand in them.

`schema` and `lifecycle` have the sections themselves.
"""

import posixpath
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

LONGEST_PATH = 400

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{1,62}$")]
Column = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,62}$")]


class Section(BaseModel):
    """A section that refuses what it does not know, and never coerces."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, defer_build=True)


def inside(path: str) -> str:
    """A path as git has it: relative, inside of the repository, of characters that can be printed."""
    if not path or not path.isprintable() or "\\" in path:
        raise ValueError("write a path, with / between its parts")
    if posixpath.normpath(path) != path or path.startswith(("/", "-", "../")) or path in ("..", "."):
        raise ValueError("write a path inside of the repository, without . and .. in it, and no / at its ends")
    return path


def sound(path: str) -> bool:
    """Whether a path can stand in this file."""
    try:
        return len(inside(path)) <= LONGEST_PATH
    except ValueError:
        return False


def _folder(path: str) -> str:
    return path if path == "." else inside(path)


def places(*names: str) -> Any:
    """What a command has to contain: the places that paths are put into."""

    def check(command: str) -> str:
        missing = [name for name in names if name not in command]
        if missing:
            raise ValueError(f"the command must contain {', '.join(missing)}")
        return command

    return AfterValidator(check)


def key_of_file(words: str) -> str:
    """A key in a file: FILE:KEY."""
    file, colon, key = words.partition(":")
    if not colon or not key or not all(key.split(".")):
        raise ValueError("write FILE:KEY, such as params.yaml:data.months")
    inside(file)
    return words


ProjectPath = Annotated[str, Field(max_length=LONGEST_PATH), AfterValidator(inside)]
KeyOfFile = Annotated[str, Field(max_length=LONGEST_PATH), AfterValidator(key_of_file)]
FolderPath = Annotated[str, AfterValidator(_folder)]  # `.` is the root
