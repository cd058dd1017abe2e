"""`python -m recap.rehearsal`: tables, the exit code, steps on this machine."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from ..unprivileged import obey_file_modes, writes_read_only_files

pytestmark = pytest.mark.slow


def rehearse(root: Path, *flags: str, params: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "recap.rehearsal", "--params", str(params), *flags]
    return subprocess.run(command, cwd=root, capture_output=True, text=True)


def test_help_is_there_without_torch(root: Path) -> None:
    code = (
        "import sys, runpy; sys.argv = ['x', '--help']\ntry: runpy.run_module('recap.rehearsal', run_name='__main__')"
    )
    code += "\nexcept SystemExit: assert 'torch' not in sys.modules"
    told = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert "--real" in told.stdout


def test_the_tiny_run_fits(root: Path) -> None:
    told = rehearse(root, params=root / "params.yaml")
    assert told.returncode == 0 and not told.stderr, told.stderr
    own, pretrain, finetune = told.stdout.split("\n\n")[1:]
    assert [line.split()[0] for line in own.splitlines()[1:]] == [
        "pretrain", "pretrain", "finetune", "finetune", "merge", "caption", "answer",
    ]  # fmt: skip
    for table, stage in ((pretrain, "pretrain"), (finetune, "finetune")):
        lines = table.splitlines()
        assert len(lines) == 1 + 10 and all(line.startswith(stage) for line in lines[1:])
        assert len({len(line) for line in lines}) == 1
    assert all(line.endswith(" 8 GB") for line in own.splitlines()[1:])


def test_too_little_memory_is_exit_code_1(root: Path, tmp_path: Path) -> None:
    text, changed = re.subn(r"memory_gb: \S+", "memory_gb: 1.1", (root / "params.yaml").read_text())
    assert changed == 1
    (tmp_path / "params.yaml").write_text(text)
    told = rehearse(root, "--own-settings", params=tmp_path / "params.yaml")
    assert told.returncode == 1
    assert re.fullmatch(
        r"error: .*params.yaml: expected every stage within the 0\.1 GiB .* found pretrain with micro-batch 16.*\n",
        told.stderr,
    )


def test_steps_on_this_machine(root: Path) -> None:
    told = rehearse(root, "--real", "--rows", "2", "--new-tokens", "3", "--repeats", "1", params=root / "params.yaml")
    assert told.returncode == 0, told.stderr
    heading, *lines = told.stdout.splitlines()
    assert "random weights" in heading
    assert [line.split()[0] for line in lines[::2]] == ["pretrain", "finetune", "merge", "caption", "answer"]
    for line in lines[::2]:
        found = re.fullmatch(r"\w+ +([\d.]+) GiB \(([\d.]+) counted\) +(\S+) h for .*", line)
        assert found is not None, line
        peak, counted, hours = map(float, found.groups())
        assert counted < peak < 8 and 0 < hours < 100
    assert not list((root / ".scratch").glob("tmp*"))


@pytest.mark.skipif(writes_read_only_files(), reason="nothing is read-only for this user")
def test_a_folder_that_cannot_be_written_is_one_line(root: Path, tmp_path: Path) -> None:
    for name in ("models", "configs"):
        (tmp_path / name).symlink_to(root / name)
    tmp_path.chmod(0o555)
    flags = ("--params", str(root / "profiles/smoke.yaml"), "--real", "--stages", "merge")
    told = subprocess.run(
        [sys.executable, "-m", "recap.rehearsal", *flags],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        preexec_fn=obey_file_modes,
    )
    tmp_path.chmod(0o755)
    assert told.returncode == 1 and "Traceback" not in told.stderr
    assert told.stderr.splitlines()[-1].startswith("error: .scratch: expected a folder to save the merged model in")
