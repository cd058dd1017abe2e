"""Two processes against one: the same numbers at the same global batch, under DDP and DeepSpeed's ZeRO, in both stages.

And what a run under each of them leaves on disk: checkpoints of what trains and nothing else, in float32.
"""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from recap.io import read_json

from .conftest import ROOT, World
from .rank_runs import STEPS, STOPPED_IN

pytest.importorskip("deepspeed")
pytestmark = pytest.mark.slow

STAGES = ("pretrain", "finetune")
SPREADS = ("ddp", "zero2", "zero3")
IN_BFLOAT16 = ("pretrain:zero2:bfloat16:whole", "finetune:zero3:bfloat16:whole")
# Tensors that train: 16 of the connectors; with LoRA of rank 4 on three layers of two blocks 12 more.
TRAINED = {"pretrain": 16, "finetune": 28}


@pytest.fixture(scope="module")
def alone(world: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One process, without DeepSpeed: what the others are measured by."""
    return launch(world, tmp_path_factory.mktemp("alone"), [f"{stage}:ddp:float32:whole" for stage in STAGES])


@pytest.fixture(scope="module")
def ranks(world: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every run of two processes."""
    runs = [f"{stage}:{spread}:float32:{how}" for stage in STAGES for spread in SPREADS for how in ("whole", "stopped")]
    launcher = ("torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m")
    return launch(world, tmp_path_factory.mktemp("ranks"), [*runs, *IN_BFLOAT16], *launcher)


def launch(world: World, out: Path, runs: list[str], *launcher: str) -> Path:
    command = [sys.executable, "-m", *launcher, "tests.training.rank_runs", str(world.root), str(out), *runs]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "TORCH_EXTENSIONS_DIR": str(out / "extensions")}
    done = subprocess.run(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=1800, text=True
    )
    assert done.returncode == 0, done.stdout[-5000:]
    return out


def weights(run: Path) -> dict[str, torch.Tensor]:
    found: dict[str, torch.Tensor] = load_file(run / "trained.safetensors")
    return found


@pytest.mark.parametrize("spread", SPREADS)
@pytest.mark.parametrize("stage", STAGES)
def test_two_processes_train_as_one(alone: Path, ranks: Path, stage: str, spread: str) -> None:
    """The loss is a mean over the tokens of the global batch, which micro-batches of unequal length do not share."""
    one = read_json(alone / f"{stage}:ddp:float32:whole" / "history.json")
    two = read_json(ranks / f"{stage}:{spread}:float32:whole" / "history.json")
    assert (one["world_size"], two["world_size"], len(two["history"])) == (1, 2, STEPS)
    assert one["captions"] == two["captions"]
    assert stage == "pretrain" or two["captions"]["samples_seen"] == 12
    for expected, found in zip(one["history"], two["history"], strict=True):
        assert found["loss"] == pytest.approx(expected["loss"], abs=1e-5)
        assert found["grad_norm"] == pytest.approx(expected["grad_norm"], abs=1e-5)


@pytest.mark.parametrize("spread", SPREADS)
@pytest.mark.parametrize("stage", STAGES)
def test_a_run_that_one_rank_was_asked_to_stop_ends_with_the_same_bytes(ranks: Path, stage: str, spread: str) -> None:
    whole, stopped = (ranks / f"{stage}:{spread}:float32:{how}" for how in ("whole", "stopped"))
    before, after = (read_json(run / "history.json") for run in (whole, stopped))
    assert (before["kept"], after["kept"]) == (0, STOPPED_IN * 8)
    assert after["history"] == before["history"]
    assert (stopped / "trained.safetensors").read_bytes() == (whole / "trained.safetensors").read_bytes()


@pytest.mark.parametrize("name", [*(f"{stage}:{s}:float32:whole" for stage in STAGES for s in SPREADS), *IN_BFLOAT16])
def test_what_trained_is_whole_and_float32(ranks: Path, name: str) -> None:
    found = weights(ranks / name)
    assert len(found) == TRAINED[name.split(":")[0]]
    for tensor in found.values():
        assert tensor.dtype == torch.float32 and tensor.numel() > 0 and torch.isfinite(tensor).all()
    # Cast to bfloat16 on the way, nothing would be lost by casting once more.
    assert sum(torch.equal(tensor, tensor.bfloat16().float()) for tensor in found.values()) == 0


@pytest.mark.parametrize("name", [*(f"{stage}:{s}:float32:whole" for stage in STAGES for s in SPREADS), *IN_BFLOAT16])
def test_a_checkpoint_holds_what_trains_and_nothing_frozen(ranks: Path, name: str) -> None:
    checkpoint = ranks / name / "work" / f"checkpoint-{STEPS}"
    trained = weights(ranks / name)
    count = sum(tensor.numel() for tensor in trained.values())
    # Weights and two moments; DeepSpeed keeps the weights twice, and pads what it deals out to its processes.
    stored = [tensor for file in checkpoint.rglob("*") for tensor in tensors_in(file)]
    floats = [tensor for tensor in stored if tensor.is_floating_point()]
    assert 3 * count <= sum(tensor.numel() for tensor in floats) < 4.5 * count
    assert bool(list(checkpoint.rglob("*optim_states.pt"))) == ("zero" in name)
    assert {tensor.dtype for tensor in floats} == {torch.float32}
    for file in checkpoint.rglob("*model_states.pt"):
        state = torch.load(file, weights_only=False)
        assert set(state["module"]) <= set(trained)
        assert not state.get("frozen_param_fragments")


def tensors_in(file: Path) -> list[torch.Tensor]:
    if file.suffix == ".safetensors":
        return list(load_file(file).values())
    # Random states are bytes and Python numbers, and no part of what is counted.
    if file.suffix != ".pt" or file.name.startswith("rng_state"):
        return []
    return list(tensors_below(torch.load(file, weights_only=False)))


def tensors_below(value: Any) -> list[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        return [value]
    if isinstance(value, dict):
        value = list(value.values())
    return [tensor for item in value for tensor in tensors_below(item)] if isinstance(value, list | tuple) else []
