"""A tiny random MGM in three folders, a projector, and training files with a few pictures."""

import copy
import gc
import json
import shutil
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from ruamel.yaml import YAML
from safetensors.torch import load_file, save_file
from transformers import (
    AutoTokenizer,
    CLIPVisionConfig,
    CLIPVisionModel,
    ConvNextConfig,
    ConvNextModel,
    GemmaConfig,
    GemmaForCausalLM,
)

from recap.data.corpus.records import Record
from recap.io import write_json, write_jsonl
from recap.models.mgm.build import build_mgm
from recap.models.mgm.modeling_mgm import MGMForConditionalGeneration
from recap.models.mgm.processing_mgm import MGMProcessor
from recap.training.adapters import ADAPTER_CONFIG, ORIGINAL_CONNECTORS
from recap.training.dataset import RowEncoder
from recap.training.lora import ADAPTER_WEIGHTS

ROOT = Path(__file__).parents[2]
IMAGE_SIZE_AUX = 32
# What both sections of a training run share, at the size of these tests.
TRAINING: dict[str, Any] = {
    "max_steps": 6,
    "global_batch_size": 4,
    "learning_rate": 0.01,
    "lr_scheduler_type": "cosine",
    "warmup_ratio": 0.3,
    "weight_decay": 0.0,
    "max_grad_norm": 1.0,
    "image_aspect_ratio": "pad",
    "drop_path": 0.0,
    "loss_normalisation": "tokens",
    "group_by_modality_length": True,
    "max_left_out": 1.0,
    "save_steps": 2,
}
# And what finetuning has besides.
FINETUNING: dict[str, Any] = TRAINING | {
    "connector_learning_rate": 0.01,
    "caption_share": 0.0,
    "val_rows": 1,
    "val_steps": 2,
}
COLOURS = ("red", "green", "blue", "white", "black", "grey")


@dataclass(frozen=True)
class World:
    """Folders of pretrained parts and of training data."""

    root: Path

    @property
    def parts(self) -> tuple[Path, Path, Path]:
        return (self.root / "language_model", self.root / "vision_tower", self.root / "vision_tower_aux")

    @property
    def captions(self) -> Path:
        return self.root / "data" / "train.jsonl"

    @property
    def conversations(self) -> Path:
        return self.root / "data" / "train.json"

    @property
    def images(self) -> Path:
        return self.root / "data"


@pytest.fixture(scope="session", autouse=True)
def only_own_garbage() -> None:
    """The Trainer collects garbage after every run; what earlier tests have left would be gone through each time."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    made = World(tmp_path_factory.mktemp("world"))
    _save_parts(made)
    _save_data(made)
    return made


def _save_parts(world: World) -> None:
    torch.manual_seed(0)
    language_model, vision_tower, vision_tower_aux = world.parts
    tokenizer = AutoTokenizer.from_pretrained(ROOT / "tests" / "assets" / "toy_tokenizer")
    text = GemmaConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=8,
    )
    # A wide initialisation: at the usual 0.02 a model this small says the same whatever it sees.
    text.initializer_range = 0.3
    GemmaForCausalLM(text).save_pretrained(language_model)
    tokenizer.save_pretrained(language_model)
    vision = CLIPVisionConfig(
        hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2, image_size=16, patch_size=8
    )
    CLIPVisionModel(vision).save_pretrained(vision_tower)
    aux = ConvNextConfig(hidden_sizes=[4, 6, 8, 10], depths=[1, 1, 1, 1])
    ConvNextModel(aux).save_pretrained(vision_tower_aux)


def _save_data(world: World) -> None:
    rng = np.random.default_rng(0)
    captions, conversations = [], []
    for number, colour in enumerate(COLOURS):
        name = f"images/{number}.jpg"
        (world.images / "images").mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(0, 256, (20 + number, 30, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(world.images / name)
        captions.append(Record(id=f"c{number}", image=name, caption=f"a {colour} sign that says {number}").to_row())
        turns = [{"from": "human", "value": f"<image>\nwhat colour is {number}?"}, {"from": "gpt", "value": colour}]
        conversations.append({"id": f"q{number}", "image": name, "conversations": turns})
    text_only = [{"from": "human", "value": "say ok"}, {"from": "gpt", "value": "ok"}]
    conversations.append({"id": "text", "conversations": text_only})
    write_jsonl(world.captions, captions)
    write_json(world.conversations, conversations)


@pytest.fixture
def mgm(world: World) -> tuple[MGMForConditionalGeneration, MGMProcessor]:
    """A new model with random connectors, and its processor."""
    return new_model(world)


def new_model(world: World) -> tuple[MGMForConditionalGeneration, MGMProcessor]:
    """The same at every call, and no two share anything."""
    torch.manual_seed(1)
    return copy.deepcopy(_built(world))


@cache
def _built(world: World) -> tuple[MGMForConditionalGeneration, MGMProcessor]:
    return build_mgm(*world.parts, image_size_aux=IMAGE_SIZE_AUX)


@pytest.fixture
def params_file(tmp_path: Path) -> Path:
    """The project's params.yaml at the size of these tests."""
    params = YAML(typ="safe").load((ROOT / "params.yaml").read_text())
    small = {
        "max_steps": 6,
        "global_batch_size": 4,
        "save_steps": 2,
        "learning_rate": 0.01,
    }
    params["pretrain"] |= small
    params["finetune"] |= small | {"connector_learning_rate": 0.01, "val_rows": 1, "val_steps": 2}
    params["mgm"] |= {"image_size_aux": IMAGE_SIZE_AUX, "max_length": 96}
    params["device"] |= {"device": "cpu"}
    params["machine"] |= {"pretrain_micro_batch_size": 2, "finetune_micro_batch_size": 2}
    params["merge"] |= {"probes": 3}
    path = tmp_path / "params.yaml"
    path.write_text(json.dumps(params))
    return path


@pytest.fixture
def run_folder(world: World, tmp_path: Path) -> Path:
    """An empty folder to run stages in, with the world's data and parts beside it."""
    for name in ("data", "language_model", "vision_tower", "vision_tower_aux"):
        shutil.copytree(world.root / name, tmp_path / name)
    shutil.copytree(ROOT / "configs" / "start", tmp_path / "start")
    return tmp_path


def encoder_for(processor: MGMProcessor, images: Path, max_length: int = 96) -> RowEncoder:
    """Rows as these tests train on them."""
    return RowEncoder(processor, {"conversation": images, "caption": images}, "pad", max_length)


def as_the_original(adapter: Path, folder: Path) -> None:
    """Write an adapter of this project as the original would have: connectors apart, bare names of layers."""
    folder.mkdir()
    config = json.loads((adapter / ADAPTER_CONFIG).read_text())
    targets = config["target_modules"].split("(")[1].rstrip(")").split("|")
    config |= {"modules_to_save": None, "target_modules": targets, "task_type": "CAUSAL_LM"}
    (folder / ADAPTER_CONFIG).write_text(json.dumps(config))
    tensors = load_file(adapter / ADAPTER_WEIGHTS)
    lora = {name.replace(".language_model", ""): tensor for name, tensor in tensors.items() if ".lora_" in name}
    save_file(lora, folder / ADAPTER_WEIGHTS)
    torch.save({name: tensor for name, tensor in tensors.items() if ".lora_" not in name}, folder / ORIGINAL_CONNECTORS)
