"""One error for "you can fix this": message, next command, exit code."""

import errno

BUG = 1
USAGE = 2
DATA = 3
NOT_PROMOTED = 4
POLICY = 5
TOOL = 6
# What a full, broken or overloaded machine says (errno); another time it may not.
MACHINE = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.ENOMEM, errno.EAGAIN, errno.EMFILE, errno.ENFILE}


class PushforwardError(Exception):
    """A failure that the user can mend: what, where and why, then the next command to type.

    `exit_code` is one of the constants of this module; the command line turns the error into it.
    """

    def __init__(self, message: str, *, next: str = "", exit_code: int = USAGE) -> None:  # noqa: A002
        super().__init__(message)
        self.message = message
        self.next = next
        self.exit_code = exit_code

    def __str__(self) -> str:
        return f"{self.message}\n  next: {self.next}" if self.next else self.message


class MachineError(PushforwardError):
    """What the machine has wrong that runs a commit, and no commit: store, disk, network, jail, act, environment.

    The message is for the pusher, and names no path of the server; `detail` is for whoever runs it.
    """

    def __init__(self, message: str, *, next: str = "", detail: str = "") -> None:  # noqa: A002
        super().__init__(message, next=next, exit_code=TOOL)
        self.detail = detail
