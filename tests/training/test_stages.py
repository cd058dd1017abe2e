"""The three stages as dvc.yaml starts them: what they write, twice the same, and through every kind of kill."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pyarrow import parquet
from ruamel.yaml import YAML

from .conftest import ROOT

PARTS = (
    "--start-from start/parts --language-model language_model --vision-tower vision_tower "
    "--vision-tower-aux vision_tower_aux"
)
COMMANDS = {
    "pretrain": f"--data data/train.jsonl --images data {PARTS} --projector models/projector "
    "--samples data/pretrain_samples.parquet --left-out data/pretrain_left_out.jsonl "
    "--metrics metrics/pretrain.json --details details/pretrain.json "
    "--plots plots/pretrain --timing t1.json",
    "finetune": "--data data/train.json --images data --captions data/train.jsonl --caption-images data "
    f"{PARTS} --projector models/projector --adapter models/adapter "
    "--samples data/finetune_samples.parquet --left-out data/finetune_left_out.jsonl "
    "--metrics metrics/finetune.json --details details/finetune.json "
    "--plots plots/finetune --timing t2.json",
    "merge": f"--data data/train.json --images data {PARTS} --projector models/projector --adapter models/adapter "
    "--merged models/merged --metrics metrics/merge.json --details details/merge.json --timing t3.json",
}
OUTPUTS = ("models", "metrics", "details", "plots", "data")


TIMINGS = {"pretrain": "t1.json", "finetune": "t2.json"}
TWO_RANKS = {"launcher": "torchrun", "processes": 2}


def start(stage: str, folder: Path) -> subprocess.Popen[str]:
    """Start a stage by the command of dvc.yaml; `machine` in the folder's parameters says in how many processes."""
    launcher = ("-m", "recap.launch") if stage in TIMINGS else ()
    return subprocess.Popen(
        [sys.executable, *launcher, str(ROOT / "stages" / f"{stage}.py"), *COMMANDS[stage].split()],
        cwd=folder,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def finish(process: subprocess.Popen[str]) -> str:
    try:
        output, _ = process.communicate(timeout=300)
    finally:
        if process.poll() is None:
            process.terminate()  # a launcher passes it on to its workers
    assert process.returncode == 0, output
    return output


def set_params(folder: Path, **sections: dict[str, Any]) -> None:
    path = folder / "params.yaml"
    params = YAML(typ="safe").load(path.read_text())
    for name, values in sections.items():
        params[name] |= values
    path.write_text(json.dumps(params))


def outputs(folder: Path) -> dict[str, bytes]:
    files = (file for name in OUTPUTS for file in (folder / name).rglob("*") if file.is_file())
    return {str(file.relative_to(folder)): file.read_bytes() for file in files}


@pytest.mark.slow
def test_all_three_stages_twice_give_the_same_bytes(run_folder: Path, params_file: Path, tmp_path: Path) -> None:
    twin = tmp_path / "twin"
    shutil.copytree(run_folder, twin)
    for folder in (run_folder, twin):
        for stage in COMMANDS:
            finish(start(stage, folder))
    found = outputs(run_folder)
    assert found == outputs(twin)
    for name in (
        "models/projector/projector.safetensors",
        "models/adapter/adapter_model.safetensors",
        "models/merged/config.json",
        "metrics/merge.json",
        "plots/pretrain/loss.tsv",
        "plots/finetune/grad_norm.tsv",
        "data/finetune_left_out.jsonl",
        "data/finetune_samples.parquet",
    ):
        assert name in found
    assert list(json.loads(found["metrics/finetune.json"])) == ["finetune"]
    details = json.loads(found["details/pretrain.json"])["pretrain"]
    assert (details["device"], details["dtype"], details["threads"]) == ("cpu", "float32", 1)
    assert all(json.loads(found[f"metrics/{stage}.json"])[stage]["world_size"] == 1 for stage in TIMINGS)
    assert {"python", "torch", "transformers", "peft"} <= set(details["versions"])
    assert len(found["plots/finetune/loss.tsv"].splitlines()) == 1 + 6
    assert not list((run_folder / ".scratch").rglob("checkpoint-*"))


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["pretrain", "finetune"])
def test_a_killed_run_ends_as_an_undisturbed_one(
    run_folder: Path, params_file: Path, tmp_path: Path, stage: str
) -> None:
    training = {"max_steps": 40, "save_steps": 5}
    set_params(run_folder, pretrain=training, finetune=training | {"caption_share": 0.25})
    if stage == "finetune":
        finish(start("pretrain", run_folder))
    twin = tmp_path / "twin"
    shutil.copytree(run_folder, twin, ignore=shutil.ignore_patterns("twin"))
    finish(start(stage, twin))

    process = start(stage, run_folder)
    wait_for_checkpoint(run_folder, stage)
    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    kept = newest_checkpoint(run_folder, stage)
    process = start(stage, run_folder)
    kept = wait_for_checkpoint(run_folder, stage, after=kept)
    # To the whole process group, as schedulers do: to those that load data too.
    os.killpg(process.pid, signal.SIGTERM)
    said, _ = process.communicate()
    assert process.returncode == 143, said
    assert "SIGTERM: saved step" in said and "Traceback" not in said
    assert not (run_folder / "metrics" / f"{stage}.json").exists()
    # The machine's own values may change in between: the work is found again, and ends in the same bytes.
    set_params(run_folder, machine={"dataloader_workers": 0})
    assert "going on from checkpoint-" in finish(start(stage, run_folder))
    assert outputs(run_folder) == outputs(twin)
    timing = json.loads((run_folder / TIMINGS[stage]).read_text())
    assert timing["items"] == 160 and 4 * kept <= timing["kept"] < 160
    assert timing["seconds"] > timing["seconds_this_process"] > 0
    if stage == "finetune":
        sources = parquet.read_table(run_folder / "data" / "finetune_samples.parquet")["source"].to_pylist()
        seen = {source: found["samples_seen"] for source, found in results(run_folder, stage)["by_source"].items()}
        assert seen == Counter(sources) == {"conversation": 120, "caption": 40}


def newest_checkpoint(folder: Path, stage: str) -> int:
    """The step of the newest complete one, or 0."""
    complete = (folder / ".scratch").glob(f"{stage}/*/checkpoint-*/complete.json")
    return max((int(path.parent.name.removeprefix("checkpoint-")) for path in complete), default=0)


def wait_for_checkpoint(folder: Path, stage: str, after: int = 0) -> int:
    """Wait for one of a later step than `after`; returns its step."""
    deadline = time.monotonic() + 600
    while (newest := newest_checkpoint(folder, stage)) <= after:
        assert time.monotonic() < deadline, f"no checkpoint of {stage} after step {after} appeared"
        time.sleep(0.005)
    return newest


@pytest.mark.slow
def test_without_a_share_of_captions_their_file_is_not_read(run_folder: Path, params_file: Path) -> None:
    set_params(run_folder, finetune={"max_steps": 2})
    finish(start("pretrain", run_folder))
    (run_folder / "data" / "train.jsonl").unlink()
    said = finish(start("finetune", run_folder))
    assert "samples of conversations" not in said
    sources = parquet.read_table(run_folder / "data" / "finetune_samples.parquet")["source"].to_pylist()
    assert sources == ["conversation"] * 8


@pytest.mark.slow
def test_a_run_starts_from_what_another_made(run_folder: Path, params_file: Path) -> None:
    """From the parts, then from that run's connectors, then from its merged model; finetuned for one step each."""
    set_params(run_folder, finetune={"max_steps": 1})
    told = {"parts": "new connectors", "projector": "its connectors", "merged": "a merged MGM"}
    adapted = {}
    for kind, meaning in told.items():
        logs = [finish(start(stage, run_folder)) for stage in COMMANDS]
        assert all(log.count("starts from start/parts: ") == 1 and meaning in log for log in logs), kind
        adapted[kind] = (run_folder / "models/adapter/adapter_model.safetensors").read_bytes()
        details = json.loads((run_folder / "details/merge.json").read_text())["merge"]
        assert details["adapter_effect_max"] > 0, kind
        following = {"parts": "projector", "projector": "merged"}.get(kind)
        if following:
            shutil.rmtree(run_folder / "start" / "parts")
            shutil.copytree(run_folder / "models" / following, run_folder / "start" / "parts")
    assert len(set(adapted.values())) == 3


@pytest.mark.slow
def test_unfinished_work_of_another_start_is_not_taken_up(run_folder: Path, params_file: Path) -> None:
    set_params(run_folder, pretrain={"max_steps": 40, "save_steps": 5})
    process = start("pretrain", run_folder)
    wait_for_checkpoint(run_folder, "pretrain")
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    (run_folder / "start" / "parts" / "note.txt").write_text("another folder")
    set_params(run_folder, pretrain={"max_steps": 40, "save_steps": 5})
    assert "going on from" not in finish(start("pretrain", run_folder))


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="needs prctl")
@pytest.mark.parametrize(("stage", "config"), [("pretrain", None), ("finetune", "zero3")])
def test_two_ranks_end_the_same_whichever_process_was_ended_on_the_way(
    run_folder: Path, params_file: Path, tmp_path: Path, stage: str, config: str | None
) -> None:
    if stage == "finetune":
        pytest.importorskip("deepspeed")
        finish(start("pretrain", run_folder))
        set_params(run_folder, finetune={"caption_share": 0.25})
    training = {"max_steps": 20, "save_steps": 2, "global_batch_size": 8}
    set_params(run_folder, **{stage: training}, machine=TWO_RANKS | {"deepspeed": config and zero(config)})
    twin = tmp_path / "twin"
    shutil.copytree(run_folder, twin, ignore=shutil.ignore_patterns("twin"))
    finish(start(stage, twin))

    launcher = start(stage, run_folder)
    wait_for_checkpoint(run_folder, stage)
    launcher.kill()
    # At once: the ranks of the first must have let go of the folder, or the second waits for it.
    kept = newest_checkpoint(run_folder, stage)
    second = start(stage, run_folder)
    wait_for_checkpoint(run_folder, stage, after=kept)
    os.kill(rank_pid(second.pid, "1"), signal.SIGKILL)
    said, _ = second.communicate(timeout=60)
    assert second.returncode == 128 + signal.SIGKILL, said
    assert "going on from checkpoint-" in said
    launcher.communicate()
    kept = newest_checkpoint(run_folder, stage)
    third = start(stage, run_folder)
    wait_for_checkpoint(run_folder, stage, after=kept)
    for _ in range(2):
        third.terminate()
    said, _ = third.communicate(timeout=60)
    assert third.returncode == 143, said
    assert "SIGTERM: saved step" in said and "Traceback" not in said
    assert "going on from checkpoint-" in finish(start(stage, run_folder))
    assert outputs(run_folder) == outputs(twin)
    found = results(run_folder, stage)
    assert (found["world_size"], found["samples_per_step"], found["accumulation_steps"]) == (2, 8, 2)


def results(folder: Path, stage: str) -> dict[str, Any]:
    """A stage's metrics and details."""
    both = [json.loads((folder / kind / f"{stage}.json").read_text())[stage] for kind in ("metrics", "details")]
    return both[0] | both[1]


def rank_pid(launcher: int, rank: str) -> int:
    """The process that a launcher started as this rank."""
    for file in Path(f"/proc/{launcher}/task/{launcher}/children").read_text().split():
        environment = Path(f"/proc/{file}/environ").read_bytes().split(b"\0")
        if f"RANK={rank}".encode() in environment:
            return int(file)
    raise LookupError(f"process {launcher} has no rank {rank}")


@pytest.mark.slow
def test_deepspeed_alone_and_in_two_processes(
    run_folder: Path, params_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The adapter of a sharded run is whole: `verify_adapter` and the merge's proof both read it back."""
    pytest.importorskip("deepspeed")
    monkeypatch.delenv("TORCH_EXTENSIONS_DIR", raising=False)
    extension = run_folder / ".scratch" / "extensions" / "cpu_adam"
    extension.mkdir(parents=True)
    (extension / "lock").touch()
    for config, says in (("zero3-offload", "a kill left it"), ("zero2", ""), ("zero3", "")):
        set_params(run_folder, pretrain={"max_steps": 2}, machine={"deepspeed": zero(config)})
        assert says in finish(start("pretrain", run_folder))
        assert results(run_folder, "pretrain")["world_size"] == 1
    assert [path.name for path in extension.iterdir()] == [], "something was compiled, or the lock is still there"
    set_params(run_folder, machine={"launcher": "deepspeed", "processes": 2, "deepspeed": zero("zero3")})
    set_params(run_folder, finetune={"global_batch_size": 8})
    finish(start("finetune", run_folder))
    finish(start("merge", run_folder))
    found = results(run_folder, "finetune")
    assert (found["samples_per_step"], found["samples_seen"], found["world_size"]) == (8, 48, 2)


@pytest.fixture
def small_disk(run_folder: Path) -> Iterator[Path]:
    """The scratch folder on a disk of its own that holds one checkpoint and little more."""
    disk = run_folder / ".scratch"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", str(disk)], capture_output=True, text=True
    )
    if mounted.returncode:
        pytest.skip(f"needs a small disk to fill: {mounted.stderr.strip()}")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("mount") is None, reason="needs mount")
def test_a_full_disk_costs_one_line_and_no_earlier_checkpoint(
    run_folder: Path, params_file: Path, small_disk: Path, tmp_path: Path
) -> None:
    set_params(run_folder, pretrain={"max_steps": 40, "save_steps": 5})
    twin = tmp_path / "twin"
    shutil.copytree(run_folder, twin, ignore=shutil.ignore_patterns("twin", ".scratch"))
    finish(start("pretrain", twin))
    process = start("pretrain", run_folder)
    said, _ = process.communicate(timeout=120)
    assert process.returncode == 1 and "Traceback" not in said
    assert "found the disk full; free some and run again: the work goes on from checkpoint-" in said
    subprocess.run(["mount", "-o", "remount,size=20m", str(small_disk)], check=True)
    assert "going on from checkpoint-" in finish(start("pretrain", run_folder))
    assert outputs(run_folder) == outputs(twin)


def zero(name: str) -> str:
    return str(ROOT / "configs" / "deepspeed" / f"{name}.json")


@pytest.mark.slow
def test_the_merge_saves_in_another_dtype(run_folder: Path, params_file: Path) -> None:
    """The proof's float32 part is as ever; what saving rounds stands in the details."""
    finish(start("pretrain", run_folder))
    finish(start("finetune", run_folder))
    set_params(run_folder, device={"dtype": "bfloat16"})
    finish(start("merge", run_folder))
    assert json.loads((run_folder / "metrics/merge.json").read_text())["merge"]["logit_difference_max"] < 1e-3
    details = json.loads((run_folder / "details/merge.json").read_text())["merge"]
    assert details["dtype"] == "bfloat16"
    assert 0 < details["saved_difference_mean"] < 2 * details["rounding_difference_mean"] + 1e-3


@pytest.mark.parametrize("stage", list(COMMANDS))
def test_help_needs_no_heavy_import(stage: str) -> None:
    result = subprocess.run(
        [sys.executable, "-X", "importtime", str(ROOT / "stages" / f"{stage}.py"), "--help"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "--timing" in result.stdout
    assert "torch" not in result.stderr
