"""Every profile keeps to the memory that it states, by the count on fake tensors."""

from pathlib import Path

import pytest

from recap.rehearsal.budget import GIB
from recap.rehearsal.profile import Profile
from recap.rehearsal.report import over_budget, own_counts, training_count

PROFILES = sorted((Path(__file__).parents[2] / "profiles").glob("*.yaml"))

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def in_the_project(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(root)


@pytest.mark.parametrize("path", [Path("params.yaml"), *PROFILES], ids=lambda path: path.stem)
def test_every_stage_fits_the_card(path: Path) -> None:
    profile = Profile.read(path)
    counts = list(own_counts(profile))
    assert {count.stage for count in counts} == {"pretrain", "finetune", "merge", "caption", "answer"}
    assert over_budget(profile, counts) == []


@pytest.mark.parametrize(
    ("stage", "micro_batch", "tokens", "limit"), [("pretrain", 8, 636, 12), ("finetune", 4, 704, 10)]
)
def test_usual_rows_leave_room(stage: str, micro_batch: int, tokens: int, limit: int) -> None:
    profile = Profile.read("profiles/mgm-2b.yaml")
    assert (profile.micro_batch(stage), profile.usual_tokens(stage)) == (micro_batch, tokens)
    assert training_count(profile, stage, micro_batch, tokens, checkpointing=True).total <= limit * GIB


def test_a_profile_that_asks_for_too_much_is_found_out() -> None:
    profile = Profile.read("profiles/mgm-2b.yaml")
    count = training_count(profile, "finetune", 16, profile.longest_tokens, checkpointing=False)
    assert over_budget(profile, [count]) == [count]


@pytest.mark.parametrize("name", ["mgm-2b-16gb", "mgm-2b-8gpu"])
def test_another_machine_is_the_same_experiment(name: str) -> None:
    ours, theirs = (Profile.read(f"profiles/{profile}.yaml").params for profile in ("mgm-2b", name))
    assert ours.model_copy(update={"machine": theirs.machine}) == theirs


def test_the_deepspeed_profile() -> None:
    """One sample at a time, 128 of them a step, ZeRO-3, rank 16, alpha 32, dropout 0.1, bfloat16, checkpointing."""
    profile = Profile.read("profiles/mgm-2b-zero3.yaml")
    params, lora, zero = profile.params, profile.params.lora, profile.zero()
    assert {(profile.micro_batch(s), profile.training(s).global_batch_size) for s in ("pretrain", "finetune")} == {
        (1, 128)
    }
    assert (lora.r, lora.alpha, lora.dropout, params.device.dtype) == (16, 32, 0.1, "bfloat16")
    assert zero is not None and zero.stage == 3 and params.machine.gradient_checkpointing
