"""A hub, a person's clone of it, and what a run leaves there: where hand-overs are refs."""

import subprocess

from pushforward.forge import gitea
from pushforward.git.repository import Repository


class Hub:
    """A bare repository, a person's clone, a runner's and the judge's."""

    def __init__(self, folder):
        self.folder, self.bare = folder, folder / "flights.git"
        git(folder, "init", "-q", "--bare", "-b", "main", str(self.bare))
        self.clone = self.fresh("clone")
        self.head = self.commit("first")

    def fresh(self, name):
        git(self.folder, "clone", "-q", f"ext::git %s {self.bare}", str(self.folder / name))
        return self.folder / name

    def commit(self, name, branch="main"):
        git(self.clone, "switch", "-q", "-C", branch)
        (self.clone / name).write_text(name)
        git(self.clone, "add", "-A")
        git(self.clone, "commit", "-q", "-m", name)
        git(self.clone, "push", "-q", "origin", f"HEAD:refs/heads/{branch}")
        return git(self.clone, "rev-parse", "HEAD")

    def leave(self, head, files):
        """As a run does, in a clone of its own."""
        folder = self.clone / "handover"
        for name, content in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)
        ref = gitea.leave(Repository(self.clone), head, folder)
        subprocess.run(["rm", "-r", str(folder)], check=True)
        return ref

    @property
    def left(self):
        return git(self.bare, "for-each-ref", "--format=%(refname)", "refs/pushforward/handover/").split()


def git(folder, *args, stdin=None):
    done = subprocess.run(["git", "-C", str(folder), *args], capture_output=True, text=True, input=stdin, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()
