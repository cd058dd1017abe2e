"""What make does by itself: `make compare` and `make placebo`, whose Python only notes what it was asked, and the check
of Python.
"""

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PYTHON = """#!/bin/sh
echo "$*" >> asked
case "$2" in recap.comparison) exit $(cat verdict) ;; *) exit $(cat page) ;; esac
"""


def make_compare(folder: Path, *, verdict: int, page: int, flags: str = "") -> tuple[int, list[str]]:
    return make(folder, "compare", "A=baseline", "B=blip2", f"FLAGS={flags}", verdict=verdict, page=page)


def make(folder: Path, *words: str, verdict: int = 0, page: int = 0) -> tuple[int, list[str]]:
    """Make's exit code, and the commands that it ran; they exit with the codes given."""
    for name in ("Makefile", "requirements.txt", "pyproject.toml"):
        shutil.copy(ROOT / name, folder)
    (folder / ".venv/bin").mkdir(parents=True)
    (folder / ".venv/bin/python").write_text(PYTHON)
    (folder / ".venv/bin/python").chmod(0o755)
    (folder / ".venv/.ready").touch()
    (folder / "verdict").write_text(str(verdict))
    (folder / "page").write_text(str(page))
    done = subprocess.run(["make", *words], cwd=folder, capture_output=True, text=True, check=False)
    return done.returncode, (folder / "asked").read_text().splitlines()


VERDICT, PAGE = "-m recap.comparison baseline blip2", "-m recap.reporting.comparison baseline blip2"


@pytest.mark.parametrize("verdict", [0, 3])
def test_the_page_is_made_of_every_verdict(tmp_path: Path, verdict: int) -> None:
    code, asked = make_compare(tmp_path, verdict=verdict, page=0, flags="--force --fail-on worse")
    assert asked == [f"{VERDICT} --force --fail-on worse", f"{PAGE} --force"]
    # Make turns every failure of a command into 2.
    assert code == (2 if verdict else 0)


def test_no_page_where_there_is_no_verdict(tmp_path: Path) -> None:
    code, asked = make_compare(tmp_path, verdict=1, page=0)
    assert (code, asked) == (2, [VERDICT])


def test_a_page_that_fails_is_a_failure(tmp_path: Path) -> None:
    assert make_compare(tmp_path, verdict=0, page=1)[0] == 2


@pytest.mark.parametrize(("words", "seeds"), [((), 1), (("N=3",), 3)])
def test_placebos_have_one_seed_unless_more_are_asked_for(tmp_path: Path, words: tuple[str, ...], seeds: int) -> None:
    assert make(tmp_path, "placebo", *words) == (0, [f"-m recap.experiments.placebo --seeds {seeds}"])


def test_another_python_is_named(tmp_path: Path) -> None:
    for name in ("Makefile", "requirements.txt", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    old = tmp_path / "python3.9"
    old.write_text('#!/bin/sh\ntest "$1" = --version && echo Python 3.9.1\nexit 1\n')
    old.chmod(0o755)
    command = ["make", "venv", f"PYTHON={old}"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "error: expected Python 3.11 or 3.12, found Python 3.9.1; name another" in done.stderr
    assert not (tmp_path / ".venv").exists()


def test_an_environment_behind_a_link_is_not_cleared(tmp_path: Path) -> None:
    for name in ("Makefile", "requirements.txt", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared/precious").touch()
    (tmp_path / ".venv").symlink_to("shared")
    done = subprocess.run(["make", "venv"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2 and "error: .venv is a link" in done.stderr
    assert (tmp_path / "shared/precious").exists()
