"""The loop: what it trains, what it logs, where it stops, and that a kill changes nothing."""

import copy
import errno
import gc
import json
import math
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from transformers import TrainerCallback, TrainerControl, TrainerState

from recap.models.mgm.build import build_mgm
from recap.models.mgm.modeling_mgm import MGMForConditionalGeneration
from recap.models.mgm.processing_mgm import MGMProcessor
from recap.params import FinetuneParams, LoraParams, TrainingParams
from recap.runtime.errors import UserError
from recap.training import trainer as trainer_module
from recap.training.arguments import training_arguments
from recap.training.batches import BatchPlan
from recap.training.compute import Compute
from recap.training.connectors import freeze_all_but_connectors
from recap.training.dataset import Example, caption_examples, conversation_examples
from recap.training.fit import TrainingResult, fit
from recap.training.lora import add_lora
from recap.training.trainable import trained

from .conftest import FINETUNING, IMAGE_SIZE_AUX, ROOT, TRAINING, World, encoder_for

Parts = tuple[MGMForConditionalGeneration, MGMProcessor]
CPU = torch.device("cpu")


def training_params(**changes: Any) -> TrainingParams:
    return TrainingParams(**(TRAINING | changes))


def finetune_params(**changes: Any) -> FinetuneParams:
    return FinetuneParams(**(FINETUNING | changes))


def compute(**changes: Any) -> Compute:
    values = {
        "device": CPU,
        "dtype": torch.float32,
        "micro_batch_size": 2,
        "gradient_checkpointing": False,
        "deepspeed": None,
        "dataloader_workers": 0,
    }
    return Compute(**(values | changes))


def run_fit(
    model: torch.nn.Module, processor: MGMProcessor, world: World, work: Path, **changes: Any
) -> TrainingResult:
    examples = changes.pop("examples", None) or caption_examples(world.captions)
    captions = changes.pop("captions", ())
    params = changes.pop("params", None)
    spread = {name: changes.pop(name) for name in changes.keys() & Compute.__dataclass_fields__.keys()}
    return fit(
        model,
        encoder_for(processor, world.images),
        examples,
        captions,
        stage="pretrain",
        params=params or training_params(**changes),
        compute=compute(**spread),
        work=work,
        seed=42,
    )


@pytest.fixture
def frozen(mgm: Parts) -> Parts:
    freeze_all_but_connectors(mgm[0])
    return mgm


def test_exactly_the_connectors_train(world: World, frozen: Parts, tmp_path: Path) -> None:
    model, processor = frozen
    before = copy.deepcopy(model.state_dict())
    result = run_fit(model, processor, world, tmp_path)
    changed = {name for name, tensor in model.state_dict().items() if not torch.equal(tensor, before[name])}
    assert changed == {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert len(changed) == result.metrics["trained_tensors"] == 16


def test_every_step_is_logged_and_compute_is_fixed(world: World, frozen: Parts, tmp_path: Path) -> None:
    """6 steps of 2 x 2 samples from 6 rows: 24 samples, 4 epochs, however the rows divide."""
    result = run_fit(*frozen, world, tmp_path)
    assert [entry["step"] for entry in result.history] == [1, 2, 3, 4, 5, 6]
    assert all(entry["loss"] > 0 and entry["grad_norm"] > 0 for entry in result.history)
    # Warm-up of ceil(0.3 * 6) = 2 steps; the rate logged is the one that the step used.
    assert [entry["learning_rate"] for entry in result.history[:3]] == pytest.approx([0.0, 0.005, 0.01])
    expected = {"steps": 6, "samples_per_step": 4, "rows": 6, "samples_seen": 24, "unique_samples": 6, "epochs": 4.0}
    assert expected.items() <= result.metrics.items()
    assert result.samples_kept == 0


def test_a_smaller_corpus_trains_for_as_many_steps(world: World, frozen: Parts, tmp_path: Path) -> None:
    result = run_fit(*frozen, world, tmp_path, examples=caption_examples(world.captions)[:5])
    expected = {"steps": 6, "samples_per_step": 4, "rows": 5, "samples_seen": 24, "unique_samples": 5, "epochs": 4.8}
    assert expected.items() <= result.metrics.items()


def test_rows_trained_on_are_those_that_came_up(world: World, frozen: Parts, tmp_path: Path) -> None:
    """One step of 2 x 2 samples sees 4 of the 6 rows: what trained, not what processing left."""
    result = run_fit(*frozen, world, tmp_path, max_steps=1)
    assert {"rows": 6, "samples_seen": 4, "unique_samples": 4}.items() <= result.metrics.items()


@pytest.mark.parametrize("changes", [{"gradient_checkpointing": True}, {"dataloader_workers": 1}])
def test_neither_checkpointing_nor_workers_change_a_number(
    world: World, frozen: Parts, tmp_path: Path, changes: dict[str, Any]
) -> None:
    model, processor = frozen
    twin = copy.deepcopy(model)
    plain = run_fit(model, processor, world, tmp_path / "a", max_steps=3)
    other = run_fit(twin, processor, world, tmp_path / "b", max_steps=3, **changes)
    assert [entry["loss"] for entry in plain.history] == [entry["loss"] for entry in other.history]
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), twin.parameters(), strict=True))


def test_bfloat16_keeps_what_trains_in_float32(world: World, tmp_path: Path) -> None:
    torch.manual_seed(1)
    base, processor = build_mgm(*world.parts, image_size_aux=IMAGE_SIZE_AUX, dtype=torch.bfloat16)
    model = add_lora(base, LoraParams(r=4, alpha=8, dropout=0.1, target_modules=["q_proj", "down_proj"]))
    examples = conversation_examples(world.conversations)
    result = run_fit(model, processor, world, tmp_path, examples=examples, dtype=torch.bfloat16, max_steps=3)
    # The connectors were float32 before PEFT put its copies beside them.
    named = [(name, parameter) for name, parameter in model.named_parameters() if ".original_module." not in name]
    assert {parameter.dtype for _, parameter in named if parameter.requires_grad} == {torch.float32}
    assert {parameter.dtype for _, parameter in named if not parameter.requires_grad} == {torch.bfloat16}
    assert all(math.isfinite(entry["loss"]) and entry["grad_norm"] > 0 for entry in result.history)
    unmoved = [name for name, parameter in trained(model) if "lora_B" in name and not parameter.any()]
    assert unmoved == []


class Killed(Exception):
    """Stands for a kill in the tests that need no process of their own."""


class KillAfter(TrainerCallback):
    def __init__(self, step: int) -> None:
        self.step = step

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.global_step == self.step:
            raise Killed


@pytest.mark.parametrize(("killed_after", "kept"), [(1, 0), (5, 4)])
def test_an_interrupted_run_ends_as_an_undisturbed_one(
    world: World, frozen: Parts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, killed_after: int, kept: int
) -> None:
    model, processor = frozen
    # Dropout makes the run depend on the random state that a checkpoint has to carry.
    model.model.language_model.layers[0].mlp.register_forward_hook(
        lambda module, inputs, output: torch.nn.functional.dropout(output, 0.5, module.training)
    )
    first, second = copy.deepcopy(model), copy.deepcopy(model)
    whole = run_fit(model, processor, world, tmp_path / "whole")
    with monkeypatch.context() as patch:
        patch.setattr(trainer_module, "CompletionMarker", _marker_and(KillAfter(killed_after)))
        with pytest.raises(Killed):
            run_fit(first, processor, world, tmp_path / "killed")
    (tmp_path / "killed" / "checkpoint-5").mkdir()  # what a kill in the middle of saving leaves
    resumed = run_fit(second, processor, world, tmp_path / "killed")
    assert resumed.samples_kept == kept * 4
    assert resumed.history == whole.history
    assert resumed.metrics == whole.metrics
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), second.parameters(), strict=True))


def _marker_and(killer: KillAfter) -> type[TrainerCallback]:
    class MarkerAndKiller(trainer_module.CompletionMarker):
        def on_step_end(self, *args: Any, **kwargs: Any) -> None:
            killer.on_step_end(*args, **kwargs)

    return MarkerAndKiller


def test_a_finished_run_is_not_trained_again(world: World, frozen: Parts, tmp_path: Path) -> None:
    model, processor = frozen
    twin = copy.deepcopy(model)
    first = run_fit(model, processor, world, tmp_path)
    again = run_fit(twin, processor, world, tmp_path)
    assert again.samples_kept == 24
    assert again.history == first.history
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), twin.parameters(), strict=True))


def test_a_loss_that_is_not_finite_stops_the_run(world: World, frozen: Parts, tmp_path: Path) -> None:
    model, processor = frozen
    with torch.no_grad():
        model.model.mm_projector[0].weight.fill_(float("inf"))
    with pytest.raises(UserError, match=r"step 1 of 6: expected a finite loss, found nan.*learning_rate"):
        run_fit(model, processor, world, tmp_path)
    assert not list(tmp_path.glob("checkpoint-*"))


def test_a_gradient_that_is_not_finite_stops_the_run_before_the_step(
    world: World, frozen: Parts, tmp_path: Path
) -> None:
    model, processor = frozen
    weight = model.model.mm_projector[0].weight
    before = weight.detach().clone()
    weight.register_hook(lambda gradient: gradient / 0)
    with pytest.raises(UserError, match=r"step 1 of 6: expected a finite gradient norm, found (nan|inf)"):
        run_fit(model, processor, world, tmp_path)
    assert torch.equal(weight, before)


@pytest.mark.parametrize("workers", [0, 1])
def test_an_unreadable_sample_stops_the_run_with_one_line(
    world: World, frozen: Parts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    turns = caption_examples(world.captions)[0].conversations
    lost = Example("train.jsonl: row 9", "lost", "images/lost.png", turns)
    with pytest.raises(UserError) as caught:
        run_fit(*frozen, world, tmp_path, examples=[lost], dataloader_workers=workers)
    message = str(caught.value)
    assert message.startswith("train.jsonl: row 9 (id lost): missing_image")
    assert "\n" not in message
    # A loader that is garbage loses the queue to its worker first, and waits 5 seconds until it ends the worker.
    monkeypatch.setattr("torch.utils.data._utils.MP_STATUS_CHECK_INTERVAL", 0.1)
    del caught
    gc.collect()


def test_tokens_of_a_step_weigh_equally_or_its_micro_batches_do(world: World, frozen: Parts, tmp_path: Path) -> None:
    """Two micro-batches of one row, n and m answer tokens: (a + b) / (n + m), or (a / n + b / m) / 2."""
    model, processor = frozen
    rows = caption_examples(world.captions)[:2]
    rows[1] = Example("w", "long", rows[1].image, [rows[1].conversations[0], {"from": "gpt", "value": "7 &% " * 9}])
    encoder = encoder_for(processor, world.images)
    sums, counts = [], []
    with torch.no_grad():
        for row in rows:
            batch = encoder.collate([encoder.encode(row)])
            counts.append(int((batch["labels"][:, 1:] != -100).sum()))
            sums.append(model(**batch).loss.item() * counts[-1])
    assert counts[1] != counts[0]
    expected = {"tokens": sum(sums) / sum(counts), "micro_batch": (sums[0] / counts[0] + sums[1] / counts[1]) / 2}
    assert expected["tokens"] != pytest.approx(expected["micro_batch"], rel=1e-3)
    for name, loss in expected.items():
        run = {"max_steps": 1, "global_batch_size": 2, "micro_batch_size": 1, "loss_normalisation": name}
        result = run_fit(copy.deepcopy(model), processor, world, tmp_path / name, examples=rows, **run)
        assert result.history[0]["loss"] == pytest.approx(loss, rel=1e-5)


def test_a_norm_of_0_clips_nothing(world: World, frozen: Parts, tmp_path: Path) -> None:
    """Without clipping a step is a step of the gradient itself; a limit beyond every norm says the same."""
    model, processor = frozen
    twin, clipped = copy.deepcopy(model), copy.deepcopy(model)
    off = run_fit(model, processor, world, tmp_path / "off", max_grad_norm=0.0)
    wide = run_fit(twin, processor, world, tmp_path / "wide", max_grad_norm=1e9)
    narrow = run_fit(clipped, processor, world, tmp_path / "narrow", max_grad_norm=1e-3)
    assert off.history == wide.history
    assert all(entry["grad_norm"] > 0 for entry in off.history)
    assert off.metrics["clipped_steps_percent"] == 0.0
    assert narrow.metrics["clipped_steps_percent"] == 100.0


def test_a_run_of_one_step_learns_something(world: World, frozen: Parts, tmp_path: Path) -> None:
    """A warm-up starts at 0: of one step it would leave nothing."""
    model, processor = frozen
    result = run_fit(model, processor, world, tmp_path, max_steps=1, warmup_ratio=1.0)
    assert [entry["learning_rate"] for entry in result.history] == [0.01]


def test_deepspeed_files_take_the_norm_0_as_no_clipping() -> None:
    for file in (ROOT / "configs" / "deepspeed").glob("*.json"):
        assert json.loads(file.read_text())["gradient_clipping"] == "auto", file


def test_a_second_gpu_is_chosen_by_the_environment(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="CUDA_VISIBLE_DEVICES=1"):
        training_arguments(
            training_params(), compute(device=torch.device("cuda:1")), BatchPlan(2, 2, 1), output_dir=tmp_path, seed=1
        )


def test_a_missing_deepspeed_file_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"nowhere\.json: expected a DeepSpeed configuration"):
        training_arguments(
            training_params(), compute(deepspeed="nowhere.json"), BatchPlan(2, 2, 1), output_dir=tmp_path, seed=1
        )


def test_what_a_step_accumulates_waits_in_the_memory_of_the_host(
    world: World, frozen: Parts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The Trainer fetches a whole window of batches at once, and its loader would put them all on the device."""

    def refuse(*args: Any, **kwargs: Any) -> None:
        raise AssertionError("a batch was put on the device before its turn")

    monkeypatch.setattr("accelerate.data_loader.send_to_device", refuse)
    assert len(run_fit(*frozen, world, tmp_path, max_steps=2).history) == 2


def test_a_full_disk_costs_the_checkpoint_that_it_cut_alone(
    world: World, mgm: Parts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The state dict of the optimizer is written second: weights of step 4 are on disk already when space runs out."""
    freeze_all_but_connectors(mgm[0])
    twin = copy.deepcopy(mgm[0]), mgm[1]
    again = copy.deepcopy(mgm[0]), mgm[1]
    undisturbed = run_fit(*twin, world, tmp_path / "twin")

    save = torch.save

    def full(value: Any, file: Any, *rest: Any) -> None:
        if "checkpoint-4" in str(file):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        save(value, file, *rest)

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(UserError, match=r"what step 4 writes, found the disk full; .* goes on from checkpoint-2$"):
        run_fit(*mgm, world, tmp_path / "work")
    assert [path.name for path in (tmp_path / "work").glob("checkpoint-*")] == ["checkpoint-2"]

    monkeypatch.setattr(torch, "save", save)
    resumed = run_fit(*again, world, tmp_path / "work")
    assert resumed.samples_kept == 8 and resumed.history == undisturbed.history
    for (name, expected), (_, found) in zip(trained(twin[0]), trained(again[0]), strict=True):
        assert torch.equal(expected, found), name


def test_every_process_draws_for_itself() -> None:
    """Alone, a process goes on with the run's own stream."""
    draws = []
    for world_size, rank in ((1, 0), (2, 0), (2, 1)):
        torch.manual_seed(42)
        arguments: Any = SimpleNamespace(world_size=world_size, seed=42, process_index=rank)
        trainer_module.OwnRandomStream().on_train_begin(arguments, TrainerState(), TrainerControl())
        draws.append(torch.rand(1).item())
    torch.manual_seed(42)
    assert draws[0] == torch.rand(1).item()
    assert len(set(draws)) == 3


def test_text_alone_trains(world: World, mgm: Parts, tmp_path: Path) -> None:
    model = add_lora(mgm[0], LoraParams(r=4, alpha=8, dropout=0.0, target_modules=["q_proj"]))
    text = [example for example in conversation_examples(world.conversations) if example.image is None]
    result = run_fit(model, mgm[1], world, tmp_path, examples=text)
    assert result.metrics["samples_with_image"] == 0 < result.metrics["samples_seen"]
    assert result.history[-1]["loss"] < result.history[0]["loss"]
