"""Recap as an installed package: what is in the archives, and `python -m recap` where nothing else is installed."""

import importlib.util
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from recap.__main__ import ANYWHERE, commands, first_sentence

ROOT = Path(__file__).parent.parent


@dataclass(frozen=True)
class Installed:
    """Both archives, and a virtual environment that holds the wheel and none of its dependencies."""

    wheel: Path
    sdist: Path
    python: Path


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    folder = tmp_path_factory.mktemp("package")
    listed = run(["git", "ls-files", "--cached", "--others", "--exclude-standard"], ROOT).splitlines()
    packaged = ("src/", "tests/", "pyproject.toml", "MANIFEST.in", "README.md", "LICENSE")
    for name in listed:
        if name.startswith(packaged) and (ROOT / name).is_file():
            (folder / "source" / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / "source" / name)
    for kind in ("wheel", "sdist"):
        build = f"from setuptools import build_meta; build_meta.build_{kind}({str(folder / kind)!r})"
        run([sys.executable, "-c", build], folder / "source")
    [wheel], [sdist] = (folder / "wheel").glob("*.whl"), (folder / "sdist").glob("*.tar.gz")
    run([sys.executable, "-m", "venv", "--without-pip", str(folder / "venv")], folder)
    python = folder / "venv" / "bin" / "python"
    install = ["install", "--quiet", "--no-deps", "--no-index", str(wheel)]
    run([sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", str(python), *install], folder)
    return Installed(wheel, sdist, python)


def run(command: list[str], folder: Path, **environment: str) -> str:
    """Standard output of a command that must succeed."""
    done = subprocess.run(
        command, cwd=folder, env={"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", **environment}, capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
def test_the_archives_hold_the_library_and_its_templates(installed: Installed) -> None:
    library = {
        str(path.relative_to(ROOT / "src"))
        for pattern in ("*.py", "py.typed", "reporting/templates/*")
        for path in (ROOT / "src" / "recap").rglob(pattern)
    }
    with zipfile.ZipFile(installed.wheel) as wheel:
        in_wheel = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert in_wheel == library
    with tarfile.open(installed.sdist) as archive:
        in_sdist = {name.split("/", 1)[1] for name in archive.getnames() if "/" in name}
    assert {f"src/{name}" for name in library} | {"LICENSE", "README.md", "pyproject.toml"} <= in_sdist
    assert not [name for name in in_sdist if name.startswith("tests")]


@pytest.mark.slow
def test_without_dependencies_the_commands_are_listed_with_what_works_where(
    installed: Installed, tmp_path: Path
) -> None:
    printed = run([str(installed.python), "-m", "recap"], tmp_path)
    assert re.findall(r"^  (recap\.\S+) ", printed, re.MULTILINE) == sorted(
        commands(), key=lambda name: (name not in ANYWHERE, name)
    )
    assert "This folder is no clone" in printed
    assert run([str(installed.python), "-m", "recap", "--version"], tmp_path) == "recap 0.1.0\n"


@pytest.mark.slow
@pytest.mark.parametrize("command", ANYWHERE)
def test_a_command_for_anywhere_explains_itself_outside_a_clone(
    installed: Installed, tmp_path: Path, command: str
) -> None:
    libraries = Path(str(importlib.util.find_spec("numpy").origin)).parent.parent  # type: ignore[union-attr]
    printed = run([str(installed.python), "-m", command, "--help"], tmp_path, PYTHONPATH=str(libraries))
    assert printed.startswith("usage: ")


def test_in_a_clone_the_list_is_light_and_says_so() -> None:
    """It took 0.17 s; a package that takes longer to import than the list to print would be among the modules."""
    show = "import sys; sys.argv = ['recap']; from recap.__main__ import main; main(); print(*sys.modules)"
    *lines, modules = run([sys.executable, "-c", show], ROOT, PYTHONPATH=str(ROOT / "src")).splitlines()
    assert lines[-1].startswith("This folder is a clone")
    assert not {"torch", "numpy", "pydantic", "dvc", "transformers"} & set(modules.split())


def test_every_command_has_its_line() -> None:
    assert set(ANYWHERE) <= set(commands())
    for name, line in commands().items():
        assert 10 < len(line) < 160, name
        assert importlib.util.find_spec(name), name


def test_a_line_is_the_first_sentence_without_usage() -> None:
    assert first_sentence("`python -m recap.x A`: say what A.b is. More.\n\nRest.") == "Say what A.b is"
    assert first_sentence("Rehearse a run:\nwill it fit?\n\n    usage") == "Rehearse a run: will it fit?"
