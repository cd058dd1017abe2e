"""One command for any number of processes: what it refuses, what it starts, and how that ends."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from recap import launch
from recap.params import DeviceParams, MachineParams, read_yaml
from recap.runtime.errors import UserError

ROOT = Path(__file__).parent.parent


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the project's parameters and a stage of the name of a real one."""
    monkeypatch.chdir(tmp_path)
    for name in ("RECAP_LAUNCHER_PID", "OMP_NUM_THREADS", "TORCH_ELASTIC_SHUTDOWN_TIMEOUT", "DVC_STAGE"):
        # Set and deleted, so that what the launcher sets in this process is undone.
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    (tmp_path / "pretrain.py").write_text("print('trained')")
    set_machine(tmp_path, launcher="plain")
    return tmp_path


def set_machine(folder: Path, **values: Any) -> None:
    params = read_yaml(ROOT / "params.yaml")
    params["device"]["device"] = "cpu"
    params["pretrain"]["global_batch_size"] = 16
    params["machine"] |= {"processes": "auto", "deepspeed": None, "pretrain_micro_batch_size": 4} | values
    (folder / "params.yaml").write_text(json.dumps(params))


def call(monkeypatch: pytest.MonkeyPatch, *flags: str) -> None:
    monkeypatch.setattr(sys, "argv", ["launch.py", "pretrain.py", *flags])
    launch.main()


@pytest.mark.parametrize(
    ("machine", "message"),
    [
        ({"launcher": "plain", "processes": 2}, r"machine\.processes: expected 1 or auto, as .* plain, found 2"),
        ({"launcher": "deepspeed"}, r"machine\.deepspeed: expected a ZeRO configuration"),
        ({"launcher": "deepspeed", "deepspeed": "none.json"}, r"none\.json: expected a DeepSpeed configuration"),
        ({"launcher": "torchrun", "processes": 3}, r"a multiple of the 3 processes .*found 16"),
        ({"launcher": "torchrun", "processes": 4, "pretrain_micro_batch_size": 3}, r"4 processes x 3 .*found 16"),
        ({"launcher": "plain", "pretrain_micro_batch_size": 5}, r"1 processes x 5 .*found 16"),
    ],
)
def test_what_cannot_work_is_one_line_before_any_work(
    folder: Path, monkeypatch: pytest.MonkeyPatch, machine: dict[str, Any], message: str
) -> None:
    def must_not_start(*_: Any) -> None:
        pytest.fail("something was started")

    monkeypatch.setattr(os, "execv", must_not_start)
    monkeypatch.setattr(launch, "_torchrun", must_not_start)
    set_machine(folder, **machine)
    with pytest.raises(UserError, match=message):
        call(monkeypatch)


@pytest.mark.parametrize("flags", [("--params", "other.yaml", "--data", "x"), ("--data", "x", "--params=other.yaml")])
def test_the_parameter_file_is_the_stages_own(
    folder: Path, monkeypatch: pytest.MonkeyPatch, flags: tuple[str, ...]
) -> None:
    started = []
    monkeypatch.setattr(os, "execv", lambda _, command: started.append(command) or sys.exit(0))
    set_machine(folder, launcher="torchrun")
    (folder / "params.yaml").rename(folder / "params.old.yaml")
    set_machine(folder, launcher="plain")
    (folder / "params.yaml").rename(folder / "other.yaml")
    with pytest.raises(SystemExit):
        call(monkeypatch, *flags)
    assert started == [[sys.executable, "pretrain.py", *flags]]


@pytest.mark.parametrize(
    ("asked", "device", "gpus", "expected"),
    [("auto", "auto", 8, 8), ("auto", "auto", 0, 1), ("auto", "cpu", 8, 1), (2, "auto", 8, 2), (2, "cpu", 0, 2)],
)
def test_auto_is_one_process_per_visible_gpu(
    folder: Path, monkeypatch: pytest.MonkeyPatch, asked: Any, device: str, gpus: int, expected: int
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    assert launch.processes(*machine_and_device(folder, asked, device)) == expected


def test_more_processes_than_gpus_are_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(UserError, match=r"at most the 2 visible GPU\(s\), found 4"):
        launch.processes(*machine_and_device(folder, 4, "cuda"))


def machine_and_device(folder: Path, processes: Any, device: str) -> tuple[MachineParams, DeviceParams]:
    params = read_yaml(folder / "params.yaml")
    machine = MachineParams(**(params["machine"] | {"launcher": "torchrun", "processes": processes}))
    return machine, DeviceParams(**(params["device"] | {"device": device}))


@pytest.mark.parametrize(
    ("environment", "where"),
    [({}, ["--standalone"]), ({"PET_NNODES": "2", "PET_NODE_RANK": "1", "PET_MASTER_ADDR": "node0"}, [])],
)
def test_several_hosts_are_named_by_torchruns_own_variables(
    folder: Path, monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], where: list[str]
) -> None:
    from torch.distributed import run

    seen = []
    monkeypatch.setattr(run, "run", seen.append)
    monkeypatch.setattr(signal, "signal", lambda *_: None)  # a launcher's answer ends with it, this process goes on
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    set_machine(folder, launcher="torchrun", processes=2)
    with pytest.raises(SystemExit) as ended:
        call(monkeypatch)
    assert ended.value.code == 0
    (arguments,) = seen
    assert arguments.standalone == bool(where)
    assert (arguments.nnodes, arguments.node_rank) == (("2", 1) if environment else ("1:1", 0))
    assert arguments.nproc_per_node == "2" and arguments.training_script == "pretrain.py"


def test_hosts_share_the_batch_too(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PET_NNODES", "3")
    set_machine(folder, launcher="torchrun", processes=2)
    with pytest.raises(UserError, match=r"a multiple of the 6 processes"):
        call(monkeypatch)


@pytest.mark.parametrize(
    "machine", [{"launcher": "plain"}, {"launcher": "torchrun"}, {"launcher": "torchrun", "processes": 1}]
)
def test_one_process_is_the_stage_itself(
    folder: Path, monkeypatch: pytest.MonkeyPatch, machine: dict[str, Any]
) -> None:
    started = []
    monkeypatch.setattr(os, "execv", lambda _, command: started.append(command) or sys.exit(0))
    set_machine(folder, **machine)
    with pytest.raises(SystemExit):
        call(monkeypatch)
    assert started == [[sys.executable, "pretrain.py"]]


def test_captioning_cuts_no_batch(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What training could not share among three processes is no concern of the stage that captions."""
    started = []
    monkeypatch.setattr(launch, "_torchrun", lambda here, command: started.append((here, command)) or 0)
    set_machine(folder, launcher="torchrun", processes=3)
    monkeypatch.setattr(sys, "argv", ["launch.py", "stages/caption.py", "--model", "m"])
    with pytest.raises(SystemExit) as ended:
        launch.main()
    assert ended.value.code == 0
    assert started == [(3, ["stages/caption.py", "--model", "m"])]


def test_another_stage_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["launch.py", "stages/merge.py"])
    with pytest.raises(
        UserError, match=r"merge\.py: expected a stage for several processes, pretrain, finetune, caption"
    ):
        launch.main()


def test_the_launcher_of_one_process_imports_nothing_heavy(folder: Path) -> None:
    (folder / "pretrain.py").write_text("import sys; print('trained')")
    command = [sys.executable, "-X", "importtime", "-m", "recap.launch", "pretrain.py"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == "trained\n" and "torch" not in done.stderr


RANK = """
import os, signal, sys, time
import torch
from recap.runtime.ranks import joined
with joined(torch.device("cpu"), even_alone=False):
    rank = os.environ["RANK"]
    {body}
"""


LAUNCH = ("-m", "recap.launch")
# What threads may do while the launcher's interpreter is taken apart.
LAUNCH_THAT_MUST_NOT_TIDY_UP = (
    "-c",
    "import atexit, os, runpy; atexit.register(os.abort); runpy.run_module('recap.launch', run_name='__main__')",
)


def start(folder: Path, body: str, launch: tuple[str, str] = LAUNCH) -> subprocess.Popen[str]:
    (folder / "pretrain.py").write_text(RANK.format(body=body))
    set_machine(folder, launcher="torchrun", processes=2)
    return subprocess.Popen(
        [sys.executable, *launch, "pretrain.py"],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        stderr=subprocess.PIPE,
        text=True,
    )


WAIT = 'open("rank" + rank, "w").write(str(os.getpid())); time.sleep(600)'


@pytest.fixture
def waiting(request: pytest.FixtureRequest, folder: Path) -> Iterator[tuple[subprocess.Popen[str], list[int]]]:
    """A launcher, and the process ids of its two ranks, which do nothing."""
    launcher = start(folder, WAIT, getattr(request, "param", LAUNCH))
    notes = [folder / f"rank{rank}" for rank in range(2)]
    wait_until(lambda: all(note.exists() and note.read_text() for note in notes))
    yield launcher, [int(note.read_text()) for note in notes]
    launcher.kill()
    launcher.communicate()


def wait_until(condition: Callable[[], bool], timeout_s: float = 90) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="needs prctl")
def test_ranks_end_with_a_launcher_that_is_killed(waiting: tuple[subprocess.Popen[str], list[int]]) -> None:
    launcher, ranks = waiting
    launcher.kill()
    wait_until(lambda: not any(map(is_running, ranks)))


@pytest.mark.slow
def test_a_rank_that_is_killed_ends_the_others(waiting: tuple[subprocess.Popen[str], list[int]]) -> None:
    launcher, ranks = waiting
    os.kill(ranks[1], signal.SIGKILL)
    assert launcher.wait(90) == 128 + signal.SIGKILL
    assert not any(map(is_running, ranks))
    assert launcher.stderr is not None
    assert launcher.stderr.read().strip() == (
        "error: process 1 of 2 was ended by signal 9 (Killed); the same command goes on from what is kept"
    )


@pytest.mark.slow
@pytest.mark.parametrize("waiting", [LAUNCH, LAUNCH_THAT_MUST_NOT_TIDY_UP], ids=["plain", "aborting"], indirect=True)
def test_a_sigterm_reaches_every_rank_and_is_the_exit_code(waiting: tuple[subprocess.Popen[str], list[int]]) -> None:
    launcher, ranks = waiting
    launcher.terminate()
    assert launcher.wait(90) == 143
    assert not any(map(is_running, ranks))


@pytest.mark.slow
def test_a_users_mistake_is_one_line_whichever_ranks_meet_it(folder: Path) -> None:
    body = "from recap.runtime.errors import UserError; from recap.runtime.stage import run"
    body += '\n    def main(): raise UserError("params.yaml: lora.r: missing")\n    run(main)'
    _, said = (launcher := start(folder, body)).communicate(timeout=90)
    assert launcher.returncode == 1
    assert [line for line in said.splitlines() if "error" in line.lower()] == ["error: params.yaml: lora.r: missing"]
