"""What DVC takes for a reason to run `caption` again costs no caption: an experiment, a tidied source file, a kill."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from recap.data.corpus.records import Record
from recap.io import write_jsonl
from tests.clones import IDENTITY

from .conftest import paint
from .test_stage import OUTPUTS, write_params

pytestmark = pytest.mark.slow

IMAGES = 12


@pytest.fixture(scope="module")
def repository(root: Path, tmp_path_factory: pytest.TempPathFactory, blip2_folder: Path) -> Path:
    """A DVC repository with this stage alone, and a copy of the code that it depends on; captioned once."""
    folder = tmp_path_factory.mktemp("repository")
    for code in ("src/recap", "stages"):
        shutil.copytree(root / code, folder / code, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(blip2_folder, folder / "model")
    images = [f"images/{index:03d}.bmp" for index in range(IMAGES)]
    for index, image in enumerate(images):
        paint(folder / "corpus" / image, index)
    write_jsonl(
        folder / "corpus" / "train.jsonl", [Record(str(i), image, "raw").to_row() for i, image in enumerate(images)]
    )
    write_params(root, folder)
    names = dict(zip(("--candidates", "--failed", "--metrics", "--details"), OUTPUTS, strict=True))
    outputs = " ".join(f"{flag} out/{name}" for flag, name in names.items())
    stage = {
        "cmd": "python -m recap.launch stages/caption.py --corpus corpus/train.jsonl --images corpus --model model "
        f"--timing out/timing.json {outputs} && if [ -e wait ]; then touch waiting; sleep 120; fi",
        "params": ["caption"],
        "deps": ["corpus", "model", "stages/caption.py", "src/recap/captioning"],
        "outs": ["out"],
    }
    YAML(typ="safe").dump({"stages": {"caption": stage}}, folder / "dvc.yaml")
    (folder / ".gitignore").write_text("__pycache__/\n.scratch/\n/wait*\n")
    for command in (["git", "init", "-q"], [sys.executable, "-m", "dvc", "init", "-q"]):
        run(folder, *command)
    with (folder / ".dvc" / ".gitignore").open("a") as stream:
        stream.write("/recap-store\n")
    dvc(folder, "repro")
    run(folder, "git", "add", "-A")
    run(folder, "git", "commit", "-qm", "captioned")
    assert timing(folder) == (IMAGES, 0)
    return folder


def environment(folder: Path) -> dict[str, str]:
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    # The experiment's copy of the code is below the folder that DVC runs it in.
    return os.environ | IDENTITY | {"PATH": path, "PYTHONPATH": "src", "OMP_NUM_THREADS": "1", "HOME": str(folder)}


def run(folder: Path, *command: str) -> str:
    done = subprocess.run(command, cwd=folder, env=environment(folder), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def dvc(folder: Path, *words: str) -> str:
    return run(folder, sys.executable, "-m", "dvc", *words)


def timing(folder: Path) -> tuple[int, int]:
    """Different pictures of the last run, and how many of them the store knew."""
    found = json.loads((folder / "out" / "timing.json").read_text())
    return found["items"], found["kept"]


def test_an_experiment_in_a_temporary_workspace_uses_the_same_store(repository: Path) -> None:
    # A seed runs the stage again, and is no setting of captions where nothing is sampled.
    dvc(repository, "exp", "run", "--temp", "-n", "seeded", "-S", "caption.seed=43")
    dvc(repository, "exp", "apply", "seeded")
    assert timing(repository) == (IMAGES, IMAGES)
    run(repository, "git", "checkout", "-q", ".")


def test_a_comment_in_a_source_file_costs_no_caption(repository: Path) -> None:
    source = repository / "src" / "recap" / "captioning" / "captions.py"
    source.write_text(source.read_text() + "\n\n# A remark.\n")
    assert "Running stage 'caption'" in dvc(repository, "repro")
    assert timing(repository) == (IMAGES, IMAGES)


def test_a_kill_after_the_stage_and_before_dvc_commits_costs_no_caption(repository: Path) -> None:
    dvc(repository, "repro")
    params = repository / "params.yaml"
    params.write_text(params.read_text().replace("max_new_tokens: 32", "max_new_tokens: 31"))
    (repository / "wait").touch()
    process = subprocess.Popen(
        [sys.executable, "-m", "dvc", "repro"], cwd=repository, env=environment(repository), start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    deadline = time.monotonic() + 120
    while not (repository / "waiting").exists():
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert timing(repository) == (IMAGES, 0)  # other settings than before
    (repository / "wait").unlink()
    assert "Running stage 'caption'" in dvc(repository, "repro")
    assert timing(repository) == (IMAGES, IMAGES)
