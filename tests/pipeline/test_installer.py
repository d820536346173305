"""Environments built by uv from locks of every tool that has one: what they hold, and that a wrong hash is refused."""

import subprocess

import pytest
from tests.wheels import wheel

from pushforward.errors import USAGE, PushforwardError
from pushforward.git.repository import Repository
from pushforward.pipeline import environment, installer

ZEROS = "0" * 64
PYPROJECT = """\
[project]
name = "shop"
version = "0.1"
requires-python = ">=3.11"
dependencies = ["boats"]
[dependency-groups]
dev = ["paint"]
lint = ["ropes"]
"""


class Shop:
    """A repository with locks of any form, which name four wheels; boats asks for oars."""

    def __init__(self, root, git, folder):
        self.root, self._git, self.wheels, self.home = root, git, folder / "wheels", folder / "environments"
        needs = {"boats": ["oars"], "oars": [], "paint": [], "ropes": []}
        self.hashes = {name: wheel(self.wheels, name, "1.0", "N = 1\n", needs[name]) for name in needs}

    def build(self, *paths, **content):
        """The names of our packages in the environment that is built from `paths`."""
        for name, text in content.items():
            place = self.root / name.replace("__", "/").replace("_", ".")
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(text)
        self._git(self.root, "add", "-A")
        self._git(self.root, "commit", "-q", "-m", "Lock")
        python = environment.interpreter(Repository(self.root), "HEAD", list(paths), folder=self.home)
        asked = "from importlib.metadata import distributions as d; print(*sorted(one.name for one in d()))"
        return subprocess.run([python, "-c", asked], capture_output=True, text=True, check=True).stdout.split()

    def unlocked(self, *paths):
        return environment.unlocked(Repository(self.root), "HEAD", list(paths))

    def file(self, name):
        return f"file://{self.wheels}/{name}-1.0-py3-none-any.whl"

    def uv_lock(self, **wrong):
        """What `uv lock` writes of PYPROJECT."""
        text = 'version = 1\nrevision = 3\nrequires-python = ">=3.11"\n'
        for name, digest in (self.hashes | wrong).items():
            more = 'dependencies = [\n    { name = "oars" },\n]\n' if name == "boats" else ""
            found = f', hash = "sha256:{digest}"' if digest else ""
            text += (
                f'\n[[package]]\nname = "{name}"\nversion = "1.0"\n'
                f'source = {{ registry = "https://pypi.org/simple" }}\n{more}'
                f'wheels = [\n    {{ url = "{self.file(name)}"{found} }},\n]\n'
            )
        return text + (
            '\n[[package]]\nname = "shop"\nversion = "0.1"\nsource = { editable = "." }\n'
            'dependencies = [\n    { name = "boats" },\n]\n\n'
            '[package.dev-dependencies]\ndev = [\n    { name = "paint" },\n]\nlint = [\n    { name = "ropes" },\n]\n\n'
            '[package.metadata]\nrequires-dist = [{ name = "boats" }]\n\n'
            '[package.metadata.requires-dev]\ndev = [{ name = "paint" }]\nlint = [{ name = "ropes" }]\n'
        )

    def pylock(self, **wrong):
        hashes = self.hashes | wrong
        text = 'lock-version = "1.0"\ncreated-by = "uv"\nrequires-python = ">=3.11"\n'
        for name in ("boats", "oars"):
            text += (
                f'\n[[packages]]\nname = "{name}"\nversion = "1.0"\n'
                f'wheels = [{{ url = "{self.file(name)}", hashes = {{ sha256 = "{hashes[name]}" }} }}]\n'
            )
        return text

    def pip(self, *names):
        found = f"--no-index\n--find-links {self.wheels}\n"
        return found + "".join(f"{name}==1.0 --hash=sha256:{self.hashes[name]}\n" for name in names)


@pytest.fixture
def shop(repository, git, tmp_path):
    return Shop(repository, git, tmp_path)


def test_a_uv_lock_is_installed_without_the_project_and_without_other_groups(shop):
    assert shop.build("ml/uv.lock", ml__uv_lock=shop.uv_lock(), ml__pyproject_toml=PYPROJECT) == [
        *("boats", "oars", "paint")
    ]
    assert shop.unlocked("ml/uv.lock") == ()
    bare = shop.uv_lock().partition("[package.dev-dependencies]")[0]
    pyproject = PYPROJECT.partition("[dependency-groups]")[0]
    assert shop.build("ml/uv.lock", ml__uv_lock=bare, ml__pyproject_toml=pyproject) == ["boats", "oars"]


def test_a_pylock_is_installed_and_locks_of_several_tools_together(shop):
    assert shop.build("pylock.toml", pylock_toml=shop.pylock()) == ["boats", "oars"]
    paths = ("pylock.ml.toml", "uv.lock", "run.txt")
    found = {"pylock.ml.toml": shop.pylock(), "uv.lock": shop.uv_lock(), "run.txt": shop.pip("ropes")}
    for name, text in found.items():
        (shop.root / name).write_text(text)
    assert shop.build(*paths, pyproject_toml=PYPROJECT) == ["boats", "oars", "paint", "ropes"]
    assert shop.unlocked(*paths) == ()


@pytest.mark.parametrize("form", ["uv.lock", "pylock.toml", "run.txt"])
def test_a_file_that_is_not_the_one_that_was_locked_is_refused(shop, form):
    shop.hashes["oars"] = ZEROS
    text = {"uv.lock": shop.uv_lock, "pylock.toml": shop.pylock, "run.txt": lambda: shop.pip("boats", "oars")}[form]()
    with pytest.raises(PushforwardError, match=r"Hash mismatch for `oars==1.0`") as refused:
        shop.build(form, pyproject_toml=PYPROJECT, **{form.replace(".", "_"): text})
    assert f"({form}) cannot be built: " in refused.value.message
    assert (refused.value.exit_code, refused.value.next) == (USAGE, f"edit {form}, or lock anew")
    assert list(shop.home.glob("*/bin")) == []


def test_a_uv_lock_needs_the_pyproject_that_it_is_of(shop):
    with pytest.raises(PushforwardError, match=r"has no ml/pyproject.toml, which ml/uv.lock is of"):
        shop.build("ml/uv.lock", ml__uv_lock=shop.uv_lock())


def test_requirements_without_hashes_are_installed_with_what_they_need_and_told_as_not_locked(shop):
    loose = f"--no-index\n--find-links {shop.wheels}\nboats\n"
    assert shop.build("requirements.txt", "run.txt", requirements_txt=loose, run_txt=shop.pip("ropes")) == [
        *("boats", "oars", "ropes")
    ]
    assert shop.unlocked("requirements.txt", "run.txt") == ("requirements.txt",)


def test_a_uv_lock_of_files_without_hashes_is_not_locked(shop):
    shop.build("uv.lock", uv_lock=shop.uv_lock(oars=""), pyproject_toml=PYPROJECT)
    assert shop.unlocked("uv.lock") == ("uv.lock",)


@pytest.mark.parametrize(
    ("path", "said", "then"),
    [
        ("environment.yml", "is conda's", "write what pip can install of it into requirements.txt"),
        ("conda-lock.yml", "is conda's", "write what pip can install of it into requirements.txt"),
        ("ml/Pipfile.lock", "is pipenv's", "pipenv requirements --hash > requirements.txt"),
        ("renv.lock", "is R's", "take it out of environment"),
    ],
)
def test_what_no_installer_here_reads_is_refused_with_what_makes_a_lock_of_it(shop, git, path, said, then):
    (shop.root / path).parent.mkdir(exist_ok=True)
    (shop.root / path).write_text("name: x\n")
    git(shop.root, "add", "-A")
    git(shop.root, "commit", "-q", "-m", "Lock")
    with pytest.raises(PushforwardError, match=rf"{path} {said}, and pip installs nothing from it") as refused:
        installer.put(Repository(shop.root), "HEAD", [path], folder=shop.home)
    assert (refused.value.exit_code, refused.value.next.startswith(then)) == (USAGE, True)
