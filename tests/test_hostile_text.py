"""The page that `dvc plots show` makes of hostile words, and secrets that a pipeline's commands could tell."""

import subprocess
import sys
from pathlib import Path

import pytest

from recap.io import write_csv
from tests.clones import Clone
from tests.hostile_text import ALL, SCRIPT

# In two pieces: the clone holds this file too.
PLANTED = "in-no-file" + "-of-the-clone"


@pytest.mark.slow
def test_hostile_words_begin_no_script_on_the_page_of_dvc(tmp_path: Path) -> None:
    """DVC puts a table into a script of its page as it is, so the table itself must not be able to end it."""
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    dvc = [sys.executable, "-m", "dvc"]
    subprocess.run([*dvc, "init", "-q"], cwd=tmp_path, check=True)
    (tmp_path / "dvc.yaml").write_text(
        "plots:\n  - words.csv: {x: count, y: word, template: bar_horizontal}\n  - plain.csv: {x: count, y: word}\n"
    )
    (tmp_path / "plain.csv").write_text("word,count\na cat,1\n")

    def page() -> str:
        subprocess.run([*dvc, "plots", "show", "-q"], cwd=tmp_path, check=True, capture_output=True)
        return (tmp_path / "dvc_plots/index.html").read_text(encoding="utf-8")

    write_csv(tmp_path / "words.csv", ("word", "count"), [("a dog", 1)])
    harmless = page().count("<script")
    write_csv(tmp_path / "words.csv", ("word", "count"), [(text, 1) for text in ALL])
    hostile = page()
    assert "window.hit" in hostile and "<script>window.hit" not in hostile
    assert hostile.count("<script") == harmless
    # That is of our making: given the words as they are, DVC's page has one script more.
    (tmp_path / "words.csv").write_text(f"word,count\n{SCRIPT.replace(',', '')},1\n")
    assert page().count("<script") == harmless + 1


@pytest.mark.slow
def test_no_secret_is_told_by_logs_outputs_and_files_of_dvc(tmp_path: Path) -> None:
    """Planted in the environment, in DVC's private configuration and in the address of Git's remote."""
    clone = Clone(tmp_path)
    clone.env |= {"HF_TOKEN": f"hf_{PLANTED}", "AWS_SECRET_ACCESS_KEY": f"aws/{PLANTED}"}
    clone.dvc("remote", "add", "--local", "--default", "there", f"https://me:{PLANTED}@host.invalid/store")
    clone.run("git", "remote", "add", "origin", f"https://me:{PLANTED}@host.invalid/repository")
    said = [clone.dvc("repro", "explore", "check")]
    said += [clone.run("git", "status"), clone.dvc("metrics", "show"), clone.dvc("status")]
    private = {clone.root / ".dvc/config.local", clone.root / ".git/config"}
    files = [path for path in tmp_path.rglob("*") if path.is_file() and path not in private]
    assert len(files) > 200
    assert [path for path in files if PLANTED.encode() in path.read_bytes()] == []
    assert not [done for done in said if PLANTED in done.stdout + done.stderr]
    assert "config.local" not in clone.run("git", "status", "--porcelain", "--untracked-files=all").stdout
