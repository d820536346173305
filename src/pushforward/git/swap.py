"""A ref of a remote, compared and swapped: how the ledger and the reports on a forge move theirs."""

from pushforward.git.repository import Repository


def swap(repository: Repository, remote: str, ref: str, old: str, new: str) -> str:
    """Move `ref` of `remote` from `old` ("": it is not there) to `new`; why it did not move, or ""."""
    lease = f"--force-with-lease={ref}:{old}"
    done = repository.remote("push", "-q", lease, remote, f"{new}:{ref}", check=False)
    if done.returncode == 0:
        return ""
    lines = done.stderr.decode("utf-8", "replace").strip().splitlines()
    return " ".join(lines[:3])[:300] or "the push failed"
