"""The model's parts by hand, and that transformers, PEFT and Trainer treat it as any model of theirs."""

import copy
from pathlib import Path

import mgm_golden as golden
import pytest
import torch
from mgm_tiny import IMAGE, batch, tiny
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors import safe_open
from torch import nn
from transformers import AutoModelForImageTextToText, Trainer, TrainingArguments

from recap.models.mgm.configuration_mgm import MGMConfig
from recap.models.mgm.connectors import CONNECTORS
from recap.models.mgm.modeling_mgm import MGMForConditionalGeneration


class TestStructure:
    """Differences that are too small for any tolerance on logits: epsilons and activations, as values."""

    def test_epsilons(self) -> None:
        model = tiny().model
        for name, module in model.named_modules():
            if isinstance(module, nn.LayerNorm):
                expected = 1e-6 if name.startswith("vision_tower_aux") else 1e-5
                assert module.eps == expected, name
            elif "RMSNorm" in type(module).__name__:
                assert module.eps == 1e-6, name

    def test_activations(self) -> None:
        model = tiny(
            text_config={"hidden_act": "gelu", "hidden_size": 8, "head_dim": 4, "num_hidden_layers": 1, "vocab_size": 9}
        ).model
        assert type(model.language_model.layers[0].mlp.act_fn).__name__ == "GELUActivation"
        assert type(tiny().model.language_model.layers[0].mlp.act_fn).__name__ == "GELUTanh"
        assert type(model.vision_tower.encoder.layers[0].mlp.activation_fn).__name__ == "QuickGELUActivation"
        assert type(model.vision_tower_aux.encoder.stages[0].layers[0].act).__name__ == "GELUActivation"
        assert isinstance(model.mm_projector[1], nn.GELU)
        assert model.mm_projector[1].approximate == "none"

    def test_sizes_of_the_connectors(self) -> None:
        model = tiny().model
        shapes = {name: [list(weight.shape) for weight in getattr(model, name).parameters()] for name in CONNECTORS}
        assert shapes == {
            "mm_projector": [[40, 24], [40], [40, 40], [40]],
            "vlm_uni_query_projector": [[24], [24], [24, 24], [24]],
            "vlm_uni_aux_projector": [[28], [28], [24, 28], [24]],
            "vlm_uni_val_projector": [[28], [28], [24, 28], [24]],
        }

    def test_connectors_start_as_pytorch_layers_do(self) -> None:
        weight = tiny().model.vlm_uni_aux_projector[1].weight
        bound = 28**-0.5
        assert weight.abs().max() <= bound
        assert weight.std().item() == pytest.approx(bound / 3**0.5, rel=0.1)

    def test_drop_path_follows_the_configuration(self) -> None:
        sizes = {"hidden_sizes": [4, 6, 8, 10], "depths": [1, 1, 2, 1], "drop_path_rate": 0.4}
        stages = tiny(vision_config_aux=sizes).model.vision_tower_aux.encoder.stages
        rates = [getattr(block.drop_path, "drop_prob", 0.0) for stage in stages for block in stage.layers]
        assert rates == pytest.approx([0.0, 0.1, 0.2, 0.3, 0.4])


class TestImagesInText:
    def test_an_unused_slot_changes_nothing(self) -> None:
        model, with_slot = tiny(), batch([1, 0], images=2)
        only = {name: value[:1] if "pixel" in name else value for name, value in with_slot.items()}
        with torch.no_grad():
            torch.testing.assert_close(model(**with_slot).logits, model(**only).logits)

    def test_slots_are_consumed_in_reading_order(self) -> None:
        """Rows of 2, 0 and 1 images with 4 slots: the third image belongs to the row without any."""
        model, with_slots = tiny(), batch([2, 0, 1], images=4)
        kept = torch.tensor([0, 1, 3])
        without = {name: value[kept] if "pixel" in name else value for name, value in with_slots.items()}
        with torch.no_grad():
            torch.testing.assert_close(model(**with_slots).logits, model(**without).logits)

    def test_a_batch_without_images_still_reaches_every_connector(self) -> None:
        model, inputs = tiny(), batch([0, 0], images=2)
        model(**inputs).loss.backward()
        for name in CONNECTORS:
            for parameter in getattr(model.model, name).parameters():
                assert parameter.grad is not None
                assert not parameter.grad.any()

    def test_too_few_images(self) -> None:
        with pytest.raises(ValueError, match=r"Image features and image tokens do not match: tokens: 50, features: 25"):
            tiny()(**batch([1, 1], images=1))

    def test_too_many_images(self) -> None:
        with pytest.raises(ValueError, match=r"do not match: tokens: 25, features: 75"):
            tiny()(**batch([1, 0], images=3))

    def test_half_an_image(self) -> None:
        inputs = batch([1])
        inputs["input_ids"][0, 3] = 5
        with pytest.raises(ValueError, match=r"do not match: tokens: 24, features: 25"):
            tiny()(**inputs)

    def test_placeholders_without_images(self) -> None:
        inputs = batch([1])
        with pytest.raises(ValueError, match=r"do not match: tokens: 25, features: 0"):
            tiny()(input_ids=inputs["input_ids"])

    def test_one_resolution_is_not_enough(self) -> None:
        inputs = batch([1])
        del inputs["pixel_values_aux"]
        with pytest.raises(ValueError, match="together"):
            tiny()(**inputs)

    def test_text_or_embeddings(self) -> None:
        with pytest.raises(ValueError, match="exactly one"):
            tiny()()
        inputs = batch([1])
        del inputs["input_ids"], inputs["labels"]
        with pytest.raises(ValueError, match="where the images stand"):
            tiny()(inputs_embeds=torch.zeros(1, 4, 40), **inputs)

    def test_an_id_inside_the_vocabulary_can_be_generated(self) -> None:
        """With a cache the images are no longer there, and the id is a token like any other."""
        model = tiny()
        inputs = batch([1])
        with torch.no_grad():
            cache = model(**inputs, use_cache=True).past_key_values
            model(input_ids=torch.tensor([[IMAGE]]), past_key_values=cache)


class TestLoss:
    def test_mean_over_labelled_tokens_or_sum_over_a_given_number(self) -> None:
        model, inputs = tiny(), batch([1, 1])
        with torch.no_grad():
            mean = model(**inputs).loss
            labelled = int((inputs["labels"] != -100).sum())
            torch.testing.assert_close(model(**inputs, num_items_in_batch=labelled).loss, mean)
            torch.testing.assert_close(model(**inputs, num_items_in_batch=2 * labelled).loss, mean / 2)

    def test_by_hand(self) -> None:
        model, inputs = tiny(), batch([1])
        with torch.no_grad():
            outputs = model(**inputs)
        labels, scores = inputs["labels"][0], outputs.logits[0].log_softmax(-1)
        terms = [-scores[place - 1, labels[place]] for place in range(1, len(labels)) if labels[place] != -100]
        assert outputs.loss.item() == pytest.approx((sum(terms) / len(terms)).item(), rel=1e-6)

    def test_only_the_last_logits(self) -> None:
        model, inputs = tiny(), batch([1])
        del inputs["labels"]
        with torch.no_grad():
            torch.testing.assert_close(model(**inputs, logits_to_keep=2).logits, model(**inputs).logits[:, -2:])


class TestGeneration:
    def test_a_batch_answers_as_its_rows_do(self) -> None:
        """Left padding, a row without an image, and a cache."""
        model = tiny()
        rows = [batch([1], text=3, seed=1), batch([0], text=5, seed=2), batch([2], text=4, seed=3)]
        length = max(row["input_ids"].shape[1] for row in rows)
        joint = {
            name: torch.cat([nn.functional.pad(row[name], (length - row[name].shape[1], 0)) for row in rows])
            for name in ("input_ids", "attention_mask")
        }
        joint |= {name: torch.cat([row[name] for row in rows]) for name in ("pixel_values", "pixel_values_aux")}
        options = {"do_sample": False, "max_new_tokens": 6, "eos_token_id": None}
        together = model.generate(**joint, **options)[:, length:]
        for index, row in enumerate(rows):
            row = {name: value for name, value in row.items() if name != "labels" and len(value)}
            alone = model.generate(**row, **options)[0, row["input_ids"].shape[1] :]
            assert together[index].tolist() == alone.tolist()

    def test_images_are_encoded_once(self) -> None:
        model, inputs = tiny(), batch([1])
        calls = []
        model.model.vision_tower.register_forward_hook(lambda *_: calls.append(1))
        del inputs["labels"]
        model.generate(**inputs, do_sample=False, max_new_tokens=5, eos_token_id=None)
        assert len(calls) == 1

    def test_beam_search(self) -> None:
        inputs = batch([1, 1])
        del inputs["labels"]
        found = tiny().generate(**inputs, do_sample=False, num_beams=2, max_new_tokens=3, eos_token_id=None)
        assert found.shape == (2, inputs["input_ids"].shape[1] + 3)


class TestSaving:
    def test_a_round_trip_keeps_every_bit(self, tmp_path: Path) -> None:
        model, inputs = tiny(text_config=tiny().config.text_config.to_dict() | {"hidden_act": "gelu"}), batch([1, 1])
        model.save_pretrained(tmp_path)
        with safe_open(tmp_path / "model.safetensors", "pt") as stored:
            assert "lm_head.weight" not in stored.keys()  # noqa: SIM118 - not a dict
            assert len(stored.keys()) == len(model.state_dict()) - 1
        again = AutoModelForImageTextToText.from_pretrained(tmp_path)
        assert isinstance(again, MGMForConditionalGeneration)
        assert again.lm_head.weight is again.model.language_model.embed_tokens.weight
        assert again.model.language_model.layers[0].mlp.act_fn(torch.tensor(1.0)).item() == pytest.approx(0.8413447)
        with torch.no_grad():
            assert torch.equal(again(**inputs).logits, model(**inputs).logits)

    def test_twice_gives_the_same_bytes(self, tmp_path: Path) -> None:
        for name in ("one", "two"):
            tiny().save_pretrained(tmp_path / name)
        files = [sorted((tmp_path / name).iterdir()) for name in ("one", "two")]
        assert [file.read_bytes() for file in files[0]] == [file.read_bytes() for file in files[1]]

    def test_towers_are_frozen_before_and_after(self, tmp_path: Path) -> None:
        tiny().save_pretrained(tmp_path)
        again, report = MGMForConditionalGeneration.from_pretrained(tmp_path, output_loading_info=True)
        assert not report["missing_keys"]
        for model in (tiny(), again):
            for name, parameter in model.named_parameters():
                assert parameter.requires_grad == ("vision_tower" not in name), name

    @pytest.mark.parametrize("attention", ["sdpa", "eager"])
    def test_attention_and_dtype_can_be_chosen(self, tmp_path: Path, attention: str) -> None:
        tiny().save_pretrained(tmp_path)
        model = MGMForConditionalGeneration.from_pretrained(
            tmp_path, attn_implementation=attention, dtype=torch.bfloat16
        )
        assert model.model.language_model.config._attn_implementation == attention
        assert {parameter.dtype for parameter in model.parameters()} == {torch.bfloat16}
        inputs = batch([1, 0])
        with torch.no_grad():
            found, exact = model.eval()(**inputs), tiny()(**inputs)
        assert found.logits.dtype == torch.float32
        valid = inputs["attention_mask"].bool()
        torch.testing.assert_close(found.logits[valid], exact.logits[valid], atol=0.1, rtol=0.1)


class TestTraining:
    def test_frozen_towers_build_no_graph_and_trainable_ones_do(self) -> None:
        model, inputs = tiny(), batch([1])
        assert not model.model.low_resolution_features(inputs["pixel_values"]).requires_grad
        stages = model.model.high_resolution_features(inputs["pixel_values_aux"])
        assert not any(stage.requires_grad for stage in stages)
        model.model.vision_tower.encoder.layers[1].requires_grad_(True)
        model.model.vision_tower_aux.encoder.stages[3].requires_grad_(True)
        model(**inputs).loss.backward()
        assert model.model.vision_tower.encoder.layers[1].mlp.fc1.weight.grad.any()
        assert model.model.vision_tower_aux.encoder.stages[3].layers[0].dwconv.weight.grad.any()
        assert model.model.vision_tower.encoder.layers[0].mlp.fc1.weight.grad is None

    @pytest.mark.parametrize("towers", [False, True])
    def test_gradient_checkpointing_changes_nothing(self, towers: bool) -> None:
        inputs, gradients = batch([1, 1]), []
        for checkpointing in (False, True):
            model = tiny().train()
            model.model.vision_tower.requires_grad_(towers)
            if checkpointing:
                model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
                assert model.is_gradient_checkpointing
            model(**inputs).loss.backward()
            gradients.append({name: item.grad for name, item in model.named_parameters() if item.grad is not None})
        assert gradients[0].keys() == gradients[1].keys()
        for name, gradient in gradients[0].items():
            torch.testing.assert_close(gradients[1][name], gradient, msg=lambda text, name=name: f"{name}: {text}")

    def test_trainer_runs_and_its_accumulated_loss_is_the_mean_over_tokens(self, tmp_path: Path) -> None:
        rows = [{name: value[0] for name, value in batch([1], text=5, seed=seed).items()} for seed in range(4)]
        losses = []
        for accumulation, size in ((1, 4), (4, 1)):
            model = tiny().train()
            arguments = TrainingArguments(
                output_dir=str(tmp_path),
                per_device_train_batch_size=size,
                gradient_accumulation_steps=accumulation,
                gradient_checkpointing=True,
                max_steps=2,
                learning_rate=1e-3,
                logging_steps=1,
                report_to=[],
                use_cpu=True,
                save_strategy="no",
                disable_tqdm=True,
            )
            trainer = Trainer(model=model, args=arguments, train_dataset=rows)
            trainer.train()
            losses.append([entry["loss"] for entry in trainer.state.log_history if "loss" in entry])
        assert losses[0] == pytest.approx(losses[1], rel=1e-3)


class TestPeft:
    TARGETS = r".*language_model.*\.(q_proj|k_proj|v_proj|o_proj|gate_proj|up_proj|down_proj)"

    def adapted(self, model: MGMForConditionalGeneration) -> PeftModel:
        config = LoraConfig(
            r=4, lora_alpha=8, target_modules=self.TARGETS, modules_to_save=list(CONNECTORS), task_type="CAUSAL_LM"
        )
        return get_peft_model(model, config)

    def test_lora_on_the_language_model_with_connectors_then_merged(self, tmp_path: Path) -> None:
        base, inputs = tiny(), batch([1, 1])
        frozen = copy.deepcopy(base.state_dict())
        model = self.adapted(base)
        trained = [name for name, parameter in model.named_parameters() if parameter.requires_grad]
        assert sum("lora_" in name for name in trained) == 2 * 7 * 2
        assert sum("lora_" not in name for name in trained) == 16
        assert not any("vision_tower" in name for name in trained)
        optimizer = torch.optim.AdamW([parameter for parameter in model.parameters() if parameter.requires_grad], 1e-2)
        for _ in range(3):
            model(**inputs).loss.backward()
            optimizer.step()
        with torch.no_grad():
            adapted = model.eval()(**inputs).logits
        model.save_pretrained(tmp_path / "adapter")
        fresh = PeftModel.from_pretrained(tiny(), tmp_path / "adapter")
        merged = fresh.merge_and_unload()
        merged.save_pretrained(tmp_path / "merged")
        again = AutoModelForImageTextToText.from_pretrained(tmp_path / "merged").eval()
        assert set(again.state_dict()) == set(frozen)
        assert torch.equal(again.state_dict()["lm_head.weight"], frozen["lm_head.weight"])
        assert not torch.equal(again.model.mm_projector[0].weight, frozen["model.mm_projector.0.weight"])
        with torch.no_grad():
            torch.testing.assert_close(again(**inputs).logits, adapted, atol=1e-4, rtol=1e-4)
            assert (adapted - tiny()(**inputs).logits).abs().max() > 0.01

    def test_generation_and_checkpointing_with_an_adapter(self) -> None:
        model, inputs = self.adapted(tiny()), batch([1, 1])
        model.enable_input_require_grads()
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
        model.train()(**inputs).loss.backward()
        del inputs["labels"]
        assert model.eval().generate(**inputs, do_sample=False, max_new_tokens=2).shape[0] == 2

    def test_bfloat16_base_with_float32_connectors(self) -> None:
        """What is trained may be kept in float32 beside a bfloat16 model."""
        model, inputs = self.adapted(tiny().to(torch.bfloat16)), batch([1, 1])
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.data = parameter.data.float()
        loss = model(**inputs).loss
        loss.backward()
        assert torch.isfinite(loss)


def test_names_of_the_published_model(slice_of_reference: Path) -> None:
    """All 912 names of MGM-2B map one to one onto a model of full size, with equal shapes."""
    from recap.models.mgm.weight_names import mgm_name

    published = golden.read(slice_of_reference, "mgm2b_keys.json")
    with torch.device("meta"):
        model = MGMForConditionalGeneration(MGMConfig())
    found = {name: list(tensor.shape) for name, tensor in model.state_dict().items()}
    assert len(published) == len(found) == 912
    assert {mgm_name(name): shape for name, shape in published.items()} == found
