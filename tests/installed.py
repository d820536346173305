"""The tool as a stranger has it: the wheel of this checkout, alone, in an environment with what it asks for."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from tests.once import made_once

ROOT = Path(__file__).parent.parent
UV = shutil.which("uv") or str(ROOT / ".tools" / "bin" / "uv")
# the home of the machine, for its package index and cache; every test has an empty one
UNTOUCHED = dict(os.environ)


def uv(*arguments: str) -> None:
    subprocess.run([UV, *arguments], check=True, capture_output=True, text=True, env=UNTOUCHED)


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    def make(folder: Path) -> None:
        constraints = str(ROOT / "requirements" / "build.txt")
        uv("build", "-q", "--wheel", "--build-constraints", constraints, "--out-dir", str(folder), str(ROOT))

    return next(made_once(tmp_path_factory, "wheel", make).glob("*.whl"))


@pytest.fixture(scope="session")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the commands of an environment with the wheel and what it asks for, in the tested versions."""

    def make(folder: Path) -> None:
        python = folder / "tool" / "bin" / "python"
        uv("venv", "-q", "--no-project", "--python", str(ROOT / ".venv" / "bin" / "python"), str(folder / "tool"))
        lines = (ROOT / "requirements" / "run.txt").read_text().splitlines()
        tested = "".join(line.removesuffix(" \\") + "\n" for line in lines if re.match(r"[a-z]", line))
        (folder / "tested.txt").write_text(tested)
        words = ["-q", "--compile-bytecode", "--python", str(python), "-c", str(folder / "tested.txt"), str(wheel)]
        uv("pip", "install", *words)

    return made_once(tmp_path_factory, "installed", make) / "tool" / "bin"
