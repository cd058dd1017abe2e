"""The model against the original: logits, loss, activations, gradients, training and generation."""

from pathlib import Path
from typing import Any

import mgm_golden as golden
import pytest
import torch

from recap.models.mgm.connectors import CONNECTORS
from recap.models.mgm.mining import blocks_of_patches, side_by_side
from recap.models.mgm.weight_names import mgm_name

LOGITS = 2e-5


def assert_tensor(name: str, found: torch.Tensor, expected: torch.Tensor, **tolerance: float) -> None:
    torch.testing.assert_close(found, expected, msg=lambda text: f"{name}: {text}", **tolerance)


def assert_logits(model: Any, folder: Path, name: str, given: dict[str, torch.Tensor]) -> None:
    with torch.no_grad():
        found = model(**given)
    valid = given["attention_mask"].bool()
    expected = golden.output(folder, name, "out.logits")
    torch.testing.assert_close(found.logits[valid], expected[valid], atol=LOGITS, rtol=0)
    assert found.logits.dtype == torch.float32
    if "labels" in given:
        expected_loss = golden.output(folder, name, "out.loss").item()
        assert found.loss.item() == pytest.approx(expected_loss, abs=1e-5)


def test_a_batch_with_images_and_loss_without_the_whole_reference(slice_of_reference: Path) -> None:
    name = "c_batch2_loss"
    assert_logits(
        golden.for_case(slice_of_reference, name), slice_of_reference, name, golden.expanded(slice_of_reference, name)
    )


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("name", golden.FORWARD_CASES)
def test_logits_and_loss(reference: Path, name: str, attention: str) -> None:
    model = golden.for_case(reference, name)
    model.set_attn_implementation(attention)
    assert_logits(model, reference, name, golden.expanded(reference, name))


@pytest.mark.parametrize("image_token_id", [-200, -1, 320, 100_000, 317])
def test_the_placeholder_may_be_any_integer(reference: Path, image_token_id: int) -> None:
    name = "c_batch2_loss"
    given = golden.expanded(reference, name, image_token_id=image_token_id)
    assert not (golden.inputs(reference, name)["input_ids"] == image_token_id).any() or image_token_id == -200
    assert_logits(golden.for_case(reference, name, image_token_id=image_token_id), reference, name, given)


@pytest.mark.parametrize("name", ["c_batch2_loss", "f_mixed_text_image"])
def test_padding_side_does_not_matter(reference: Path, name: str) -> None:
    model, expected = golden.for_case(reference, name), golden.output(reference, name, "out.logits")
    left = golden.expanded(reference, name, side="left")
    right = golden.expanded(reference, name, side="right")
    with torch.no_grad():
        found = model(**left)
    expected = expected[right["attention_mask"].bool()]
    torch.testing.assert_close(found.logits[left["attention_mask"].bool()], expected, atol=LOGITS, rtol=0)
    assert found.loss.item() == pytest.approx(golden.output(reference, name, "out.loss").item(), abs=1e-5)


@pytest.mark.parametrize("name", golden.FORWARD_CASES)
def test_hidden_states(reference: Path, name: str) -> None:
    given = golden.expanded(reference, name)
    with torch.no_grad():
        found = golden.for_case(reference, name)(**given, output_hidden_states=True).hidden_states
    valid = given["attention_mask"].bool()
    for layer, hidden in enumerate(found):
        expected = golden.output(reference, name, f"out.hidden_{layer}")[valid]
        torch.testing.assert_close(hidden[valid], expected, atol=1e-4, rtol=1e-5)
    assert len(found) == 3


@pytest.mark.parametrize("name", [name for name in golden.FORWARD_CASES if not name.startswith("a")])
def test_image_activations(reference: Path, name: str) -> None:
    model, given = golden.for_case(reference, name).model, golden.inputs(reference, name)
    expected = {
        key.split(".act.")[1]: value
        for key, value in golden.read(reference, "tensors.safetensors").items()
        if key.startswith(f"{name}.act.")
    }
    found: dict[str, torch.Tensor] = {}
    calls: list[torch.Tensor] = []
    modules = dict(model.named_modules())
    hooks = [
        modules["vlm_uni_query_projector"].register_forward_hook(lambda _, given, output: calls.append(output)),
        modules["mm_projector"].register_forward_hook(lambda _, given, output: found.update(projector_in=given[0])),
    ]
    lowres = model.low_resolution_features
    model.low_resolution_features = lambda views: found.setdefault("lowres_features", lowres(views))
    with torch.no_grad():
        found["projector_out"] = model.get_image_features(given["images"], given["images_aux"])
        found["highres_features"] = side_by_side(model.high_resolution_features(given["images_aux"]))
        stages = model.vision_tower_aux(given["images_aux"], output_hidden_states=True).hidden_states[1:]
    for hook in hooks:
        hook.remove()
    found |= {f"convnext_stage_{stage}": value for stage, value in enumerate(stages)}
    found["mining0_q"] = calls[0]
    if model.config.image_global:
        # The original runs the tiles of all images first, their global views last; here an image's views stay together.
        views = found["lowres_features"].unflatten(0, (len(given["images"]), -1))
        found["lowres_features"] = torch.cat([views[:, :-1].flatten(0, 1), views[:, -1]])
        found["mining0_q"] = calls[0].unflatten(0, (len(given["images"]), -1))[:, :-1].flatten(0, 1)
    for key in expected.keys() & found.keys():
        assert_tensor(key, found[key], expected[key], atol=1e-5, rtol=1e-5)
    assert {"lowres_features", "projector_in", "projector_out"} <= expected.keys() & found.keys()


def test_mining_step_by_step(reference: Path) -> None:
    name = "b_one_image"
    model, given = golden.for_case(reference, name).model, golden.inputs(reference, name)
    with torch.no_grad():
        low = model.low_resolution_features(given["images"])
        blocks = blocks_of_patches(side_by_side(model.high_resolution_features(given["images_aux"])), 4)
        found = {
            "query_in": low,
            "q": model.vlm_uni_query_projector(low),
            "k": model.vlm_uni_aux_projector(blocks),
            "v": model.vlm_uni_val_projector(blocks),
            "embed_feat": model.mine(low, blocks) - low,
        }
    for key, value in found.items():
        torch.testing.assert_close(value, golden.output(reference, name, f"act.mining0_{key}"), atol=1e-5, rtol=1e-5)


def test_images_enter_gemma_unscaled_and_are_scaled_with_the_text(reference: Path) -> None:
    name = "b_one_image"
    model, given = golden.for_case(reference, name), golden.expanded(reference, name)
    with torch.no_grad():
        outputs = model(**given, output_hidden_states=True)
    unscaled = golden.output(reference, name, "act.inputs_embeds")
    torch.testing.assert_close(outputs.hidden_states[0] / 64**0.5, unscaled, atol=1e-5, rtol=1e-5)
    image = given["input_ids"][0] == golden.PLACEHOLDER
    torch.testing.assert_close(outputs.image_hidden_states[0], unscaled[0, image], atol=1e-5, rtol=1e-5)


def test_gradients(reference: Path) -> None:
    name = "c_batch2_loss"
    model, case = golden.for_case(reference, name), golden.read(reference, "cases.json")[name]
    model(**golden.expanded(reference, name)).loss.backward()
    gradients = {parameter: tensor.grad for parameter, tensor in model.named_parameters()}
    assert sorted(parameter for parameter, grad in gradients.items() if grad is None) == sorted(
        mgm_name(parameter) for parameter in case["no_grad"]
    )
    for parameter, norm in case["grad_norms"].items():
        assert gradients[mgm_name(parameter)].norm().item() == pytest.approx(norm, rel=1e-4, abs=1e-6)
    stored = f"{name}.grad."
    for key, expected in golden.read(reference, "tensors.safetensors").items():
        if key.startswith(stored):
            found = gradients[mgm_name(key.removeprefix(stored))]
            assert_tensor(key, found, expected, atol=2e-6, rtol=1e-4)


@pytest.mark.parametrize("stage", ["stage1", "stage2"])
def test_training_follows_the_original_step_by_step(slice_of_reference: Path, stage: str) -> None:
    model = golden.for_case(slice_of_reference, "c_batch2_loss")
    trace = golden.read(slice_of_reference, "train_trace.json")["traces"][stage]
    if stage == "stage1":
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(any(connector in name for connector in CONNECTORS))
    trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
    assert len(trainable) == trace["trainable_tensors"]
    assert sum(parameter.numel() for parameter in trainable) == trace["trainable_params"]
    optimizer = torch.optim.AdamW(trainable, lr=trace["lr"], weight_decay=0.0)
    given = golden.expanded(slice_of_reference, "c_batch2_loss")
    losses = []
    for _ in trace["losses"]:
        loss = model(**given).loss
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert losses == pytest.approx(trace["losses"], abs=2e-5)


@pytest.mark.parametrize("use_cache", [True, False])
@pytest.mark.parametrize("name", ["d_generate_image", "d2_generate_text"])
def test_greedy_generation_token_for_token(reference: Path, name: str, use_cache: bool) -> None:
    case, given = golden.read(reference, "cases.json")[name], golden.expanded(reference, name)
    outputs = golden.for_case(reference, name).generate(
        **given,
        do_sample=False,
        max_new_tokens=case["max_new_tokens"],
        use_cache=use_cache,
        return_dict_in_generate=True,
        output_scores=True,
    )
    new = outputs.sequences[:, given["input_ids"].shape[1] :]
    assert new.tolist() == case["output_ids"]
    scores = torch.stack(outputs.scores, dim=1)
    torch.testing.assert_close(scores, golden.output(reference, name, "out.scores"), atol=2e-5, rtol=0)


def test_generation_from_embeddings(reference: Path) -> None:
    name = "d2_generate_text"
    model, given = golden.for_case(reference, name), golden.expanded(reference, name)
    embeds = model.get_input_embeddings()(given["input_ids"])
    found = model.generate(inputs_embeds=embeds, do_sample=False, max_new_tokens=10)
    assert found.tolist() == golden.read(reference, "cases.json")[name]["output_ids"]
