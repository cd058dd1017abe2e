"""Which rows are held out, what their loss is, and that training does not notice."""

import copy
import random
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from recap.models.mgm.modeling_mgm import MGMForConditionalGeneration
from recap.models.mgm.processing_mgm import MGMProcessor
from recap.params import LoraParams
from recap.training import trainer as trainer_module
from recap.training.dataset import Example, conversation_examples
from recap.training.lora import add_lora
from recap.training.validation import Validation, hold_out

from .conftest import World, encoder_for
from .test_trainer import KillAfter, Killed, _marker_and, finetune_params, run_fit

CPU = torch.device("cpu")
Parts = tuple[MGMForConditionalGeneration, MGMProcessor]


def example(name: str, image: str | None = None) -> Example:
    return Example("train.json", name, image, [])


def test_the_rows_alone_decide_and_none_of_an_image_trains() -> None:
    rows = [example(f"q{number}", f"images/{number // 3}.jpg") for number in range(60)]
    training, held_out = hold_out(rows, 7)
    assert len(held_out) == 7
    # Three whole images are needed for seven rows: two of their nine rows serve neither purpose.
    assert len(training) == 60 - 9
    assert not {row.image for row in training} & {row.image for row in held_out}
    shuffled = random.Random(0).sample(rows, len(rows))
    assert {row.image for row in hold_out(shuffled, 7)[1]} == {row.image for row in held_out}
    assert training == [row for row in rows if row in training]


def test_more_rows_hold_out_the_same_and_others() -> None:
    rows = [example(f"t{number}") for number in range(100)]
    few, many = (hold_out(rows, count)[1] for count in (5, 20))
    assert {row.id for row in few} < {row.id for row in many}


def test_a_small_set_is_for_training() -> None:
    rows = [example(f"t{number}") for number in range(8)]
    assert [len(part) for part in hold_out(rows, 64)] == [6, 2]
    assert hold_out(rows[:3], 64) == (rows[:3], [])
    assert hold_out(rows, 0) == (rows, [])


def test_an_image_with_more_rows_than_are_wanted_trains() -> None:
    rows = [example(f"q{number}", "images/same.jpg") for number in range(20)]
    assert hold_out(rows, 3) == (rows, [])


def validation(world: World, processor: MGMProcessor, batch_size: int) -> Validation:
    rows = conversation_examples(world.conversations)
    return Validation(rows, encoder_for(processor, world.images), batch_size, workers=0, steps=1)


def test_the_loss_is_the_mean_over_all_tokens_of_all_rows(world: World, mgm: Parts) -> None:
    """Worked from logits, row by row; rows have different numbers of answer tokens."""
    model, processor = mgm
    asked = validation(world, processor, 2)
    nats, counts = 0.0, []
    with torch.no_grad():
        for row in asked.rows:
            batch = asked.encoder.collate([asked.encoder.encode(row)])
            labels = batch.pop("labels")[0, 1:]
            logs = model.eval()(**batch).logits[0, :-1].log_softmax(-1)
            kept = labels != -100
            nats -= logs[kept].gather(1, labels[kept].unsqueeze(1)).sum().item()
            counts.append(int(kept.sum()))
    assert len(set(counts)) > 1
    for batch_size in (1, 2, 7, 16):
        found = replace(asked, batch_size=batch_size).loss(model, CPU)
        assert found == pytest.approx(nats / sum(counts), rel=1e-5)


def test_asking_touches_neither_mode_nor_chance(world: World, mgm: Parts) -> None:
    model, processor = mgm
    model.model.language_model.layers[0].mlp.register_forward_hook(
        lambda module, inputs, output: torch.nn.functional.dropout(output, 0.5, module.training)
    )
    asked = validation(world, processor, 2)
    torch.manual_seed(3)
    before = torch.get_rng_state()
    model.train()
    first, second = (asked.loss(model, CPU) for _ in range(2))
    assert first == second
    assert model.training and model.model.language_model.layers[0].mlp.training
    assert torch.equal(torch.get_rng_state(), before)


def lora_model(mgm: Parts) -> torch.nn.Module:
    return add_lora(mgm[0], LoraParams(r=4, alpha=8, dropout=0.3, target_modules=["q_proj", "down_proj"]))


def more_rows(world: World) -> list[Example]:
    """Four conversations of text alone beside the world's seven, so that there is something to hold out."""
    rows = conversation_examples(world.conversations)
    return [*rows, *(replace(rows[-1], id=f"text {number}") for number in range(4))]


def test_a_run_asks_every_so_many_steps_and_at_its_end(world: World, mgm: Parts, tmp_path: Path) -> None:
    rows = more_rows(world)
    trained_on, held_out = hold_out(rows, 2)
    result = run_fit(
        lora_model(mgm), mgm[1], world, tmp_path, examples=rows, params=finetune_params(max_steps=5, val_rows=2)
    )
    lines = (tmp_path / "dvclive/plots/metrics/val_loss.tsv").read_text().splitlines()
    assert [line.split("\t")[0] for line in lines] == ["step", "2", "4", "5"]
    assert result.metrics["val_loss"] == float(lines[-1].split("\t")[1])
    assert (result.metrics["val_rows"], result.metrics["rows"]) == (len(held_out), len(trained_on)) == (2, 9)


def test_training_does_not_notice(world: World, mgm: Parts, tmp_path: Path) -> None:
    """Dropout draws from the random state in every step; asking in between changes no loss."""
    first = lora_model(mgm)
    second = copy.deepcopy(first)
    rows = list(hold_out(more_rows(world), 2)[0])
    histories = []
    for model, work, changes, examples in (
        (first, "asked", {"val_rows": 2, "val_steps": 1}, more_rows(world)),
        (second, "plain", {"val_rows": 0}, rows),
    ):
        torch.manual_seed(5)
        params = finetune_params(max_steps=4, **changes)
        histories.append(run_fit(model, mgm[1], world, tmp_path / work, examples=examples, params=params).history)
    assert [entry["loss"] for entry in histories[0]] == [entry["loss"] for entry in histories[1]]


def test_an_interrupted_run_ends_with_the_same_losses(
    world: World, mgm: Parts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = lora_model(mgm)
    first, second = copy.deepcopy(model), copy.deepcopy(model)
    run = {"examples": more_rows(world), "params": finetune_params(val_rows=2)}
    whole = run_fit(model, mgm[1], world, tmp_path / "whole", **run)
    with monkeypatch.context() as patch:
        patch.setattr(trainer_module, "CompletionMarker", _marker_and(KillAfter(5)))
        with pytest.raises(Killed):
            run_fit(first, mgm[1], world, tmp_path / "killed", **run)
    resumed = run_fit(second, mgm[1], world, tmp_path / "killed", **run)
    assert resumed.metrics == whole.metrics
    curves = [tmp_path / name / "dvclive/plots/metrics/val_loss.tsv" for name in ("whole", "killed")]
    assert curves[0].read_bytes() == curves[1].read_bytes()
