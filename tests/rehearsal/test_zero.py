"""What ZeRO leaves on each device, worked by hand."""

from pathlib import Path

import pytest

from recap.io import write_json
from recap.rehearsal.memory import ACTIVATIONS, GRADIENTS, OPTIMIZER, WEIGHTS
from recap.rehearsal.zero import BUCKETS, Zero, per_device
from recap.runtime.errors import UserError

PARTS = {WEIGHTS: 6_000, OPTIMIZER: 800, GRADIENTS: 400, ACTIVATIONS: 1_000}
NO_OFFLOAD = {"offload_optimizer": False, "offload_parameters": False}


def test_without_zero_everything_is_everywhere() -> None:
    assert per_device(PARTS, None, 1, weight_bytes=2) == PARTS
    assert per_device(PARTS, None, 8, weight_bytes=2) == PARTS | {BUCKETS: 400}


def test_each_stage_divides_more() -> None:
    settings = {stage: Zero(stage, **NO_OFFLOAD, bucket_bytes=30, live_parameters=500) for stage in (1, 2, 3)}
    one, two, three = (per_device(PARTS, settings[stage], 8, weight_bytes=2) for stage in (1, 2, 3))
    assert one == PARTS | {OPTIMIZER: 100, BUCKETS: 30}
    assert two == one | {GRADIENTS: 50}
    # 6,000 / 8 of its own, and 500 gathered parameters of two bytes.
    assert three == two | {WEIGHTS: 750 + 1_000}


def test_no_more_is_gathered_than_there_is() -> None:
    everything = Zero(3, **NO_OFFLOAD, bucket_bytes=0, live_parameters=10**9)
    assert per_device(PARTS, everything, 1, weight_bytes=2)[WEIGHTS] == 6_000
    assert per_device(PARTS, everything, 8, weight_bytes=2)[WEIGHTS] == 6_000


def test_offloading_empties_the_device() -> None:
    setting = Zero(3, offload_optimizer=True, offload_parameters=True, bucket_bytes=0, live_parameters=500)
    split = per_device(PARTS, setting, 2, weight_bytes=2)
    assert (split[OPTIMIZER], split[WEIGHTS]) == (0, 1_000)


def test_a_configuration_is_read(tmp_path: Path) -> None:
    file = tmp_path / "zero.json"
    stage_two = {"stage": 2, "overlap_comm": True, "reduce_bucket_size": 5e8}
    write_json(file, {"zero_optimization": stage_two})
    # Two buffers of float32.
    assert Zero.read(file, hidden_size=16).bucket_bytes == 2 * 4 * 500_000_000
    write_json(file, {"zero_optimization": {"stage": 3, "overlap_comm": True, "reduce_bucket_size": "auto"}})
    assert Zero.read(file, hidden_size=16) == Zero(3, **NO_OFFLOAD, bucket_bytes=4 * 256, live_parameters=10**9)
    with pytest.raises(UserError, match=r"nothing\.json: expected a DeepSpeed configuration"):
        Zero.read(tmp_path / "nothing.json", hidden_size=16)


def test_the_shipped_configurations(root: Path) -> None:
    folder = root / "configs" / "deepspeed"
    read = {file.stem: Zero.read(file, hidden_size=2048) for file in folder.glob("*.json")}
    assert (read["zero2"].stage, read["zero3"].stage) == (2, 3)
    assert read["zero3-offload"].offload_optimizer and read["zero3-offload"].offload_parameters
