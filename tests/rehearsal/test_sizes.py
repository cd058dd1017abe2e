"""Sizes of models that are not there, against what is published about them."""

from pathlib import Path

import pytest
import torch
from transformers import Blip2ForConditionalGeneration, GemmaConfig

from recap.io import write_json
from recap.models.mgm.configuration_mgm import MGMConfig
from recap.models.mgm.connectors import connector_parameters
from recap.models.mgm.modeling_mgm import MGMForConditionalGeneration
from recap.params import ModelSource, ModelsParams, load_all
from recap.rehearsal.sizes import captioner_config, mgm_config
from recap.runtime.errors import UserError


@pytest.fixture
def models(root: Path, tmp_path: Path) -> ModelsParams:
    """The models of mgm-2b, in folders that do not exist."""
    found = load_all(root / "profiles" / "mgm-2b.yaml").models
    absent = {name: source.model_copy(update={"path": str(tmp_path / name)}) for name, source in found}
    return ModelsParams(**absent)


@pytest.fixture
def mgm(root: Path, models: ModelsParams) -> MGMConfig:
    return mgm_config(models, load_all(root / "profiles" / "mgm-2b.yaml").mgm)


def parameters(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def test_mgm_2b_has_its_published_size(mgm: MGMConfig) -> None:
    with torch.device("meta"):
        model = MGMForConditionalGeneration(mgm)
    assert parameters(model.model.language_model) == 2_506_172_416
    # CLIP-L/14-336 with its layer norms, and ConvNeXt-L's stem and stages.
    assert parameters(model.model.vision_tower) == 303_507_456
    assert parameters(model.model.vision_tower_aux) == 196_227_264
    connectors = connector_parameters(model).values()
    assert sum(parameter.numel() for parameter in connectors) == 1_051_648 + 2 * 2_955_904 + 6_295_552


def test_blip2_opt_2_7b_has_its_published_size(models: ModelsParams) -> None:
    with torch.device("meta"):
        model = Blip2ForConditionalGeneration(captioner_config(models))
    assert parameters(model) == pytest.approx(3.745e9, rel=1e-3)
    assert parameters(model.language_model) == pytest.approx(2.65e9, rel=2e-3)


def test_a_folder_goes_before_what_is_published(root: Path, models: ModelsParams) -> None:
    folder = Path(models.language_model.path)
    GemmaConfig(vocab_size=100, hidden_size=64, num_attention_heads=2, head_dim=32).save_pretrained(folder)
    config = mgm_config(models, load_all(root / "profiles" / "mgm-2b.yaml").mgm)
    assert (config.text_config.vocab_size, config.text_config.hidden_size) == (100, 64)
    assert config.vision_config.num_hidden_layers == 24


def test_an_openclip_folder_tells_its_tower_by_name(root: Path, models: ModelsParams) -> None:
    stated = load_all(root / "profiles" / "mgm-2b.yaml").mgm
    config_file = Path(models.vision_tower_aux.path) / "open_clip_config.json"
    config_file.parent.mkdir()
    write_json(config_file, {"model_cfg": {"vision_cfg": {"timm_model_name": "convnext_base"}}})
    assert mgm_config(models, stated).vision_config_aux.hidden_sizes == [128, 256, 512, 1024]
    write_json(config_file, {"model_cfg": {"vision_cfg": {"timm_model_name": "resnet50"}}})
    with pytest.raises(UserError, match=r"expected a ConvNeXt among convnext_base.*found 'resnet50'"):
        mgm_config(models, stated)


def test_an_unknown_model_that_is_not_there_is_refused(models: ModelsParams) -> None:
    other = ModelSource(path=models.captioner.path, hub="somebody/else", revision="0")
    with pytest.raises(UserError, match="sizes of somebody/else are not known; run `make models`"):
        captioner_config(models.model_copy(update={"captioner": other}))
