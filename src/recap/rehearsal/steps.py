"""One step of each stage that computes, with the stages' own models and settings, on fakes or on a device.

The training step is written out here and not the Trainer's: that one looks at losses and norms (is it finite?), which
fakes do not have. What it allocates is the same: autocast, float32 trained parameters, AdamW over all of them at once,
gradients that stay from one micro-batch to the next.
"""

import sys
from dataclasses import dataclass, replace
from typing import Any

import torch
from peft import PeftModel
from torch import nn
from transformers import Blip2Config, Blip2ForConditionalGeneration

from recap.captioning.blip2 import Blip2Captioner
from recap.captioning.decoding import Decoding
from recap.captioning.writing import Sampling
from recap.evaluation.generation.decoding import GreedyDecoder
from recap.merging.logits import Output
from recap.models.mgm.configuration_mgm import MGMConfig
from recap.models.mgm.conversation import IGNORE_INDEX
from recap.models.mgm.modeling_mgm import MGMForConditionalGeneration
from recap.params import CaptionParams, LoraParams
from recap.rehearsal.places import Place
from recap.training.connectors import freeze_all_but_connectors
from recap.training.lora import add_lora
from recap.training.trainable import cast_trained, trained

Batch = dict[str, torch.Tensor]

# Any token that is neither padding, a mark, nor an image; and one that no model says.
TOKEN = 5
NO_TOKEN = 2**31


def build_mgm(config: MGMConfig, place: Place, dtype: torch.dtype) -> MGMForConditionalGeneration:
    """A model of these sizes; `place.settle` is still to be called."""
    with place.construction():
        model: MGMForConditionalGeneration = MGMForConditionalGeneration._from_config(config, dtype=dtype)
    return model


def build_for_training(
    config: MGMConfig,
    stage: str,
    lora: LoraParams,
    place: Place,
    dtype: torch.dtype,
    *,
    checkpointing: bool,
    whole_loss: bool = False,
) -> nn.Module:
    """The model as `pretrain` or `finetune` trains it; with `whole_loss` as under ZeRO-3, see its `loss_chunk`."""
    model: Any = build_mgm(config, place, dtype)
    if whole_loss:
        model.loss_chunk = sys.maxsize
    if stage == "pretrain":
        freeze_all_but_connectors(model)
    else:
        model = add_lora(model, lora)
    cast_trained(model)
    if checkpointing:
        model.activation_checkpointing_enable({"use_reentrant": False})
    return place.settle(model).train()


def build_for_answering(config: MGMConfig, place: Place, dtype: torch.dtype) -> MGMForConditionalGeneration:
    """The merged model as `answer` loads it."""
    model = build_mgm(config, place, dtype)
    place.settle(model).eval()
    return model


def build_adapted(config: MGMConfig, lora: LoraParams, place: Place) -> tuple[MGMForConditionalGeneration, PeftModel]:
    """The adapter model as `merge` proves it, everything in float32: the model with LoRA in it, and what folds it."""
    model = build_mgm(config, place, torch.float32)
    wrapped = add_lora(model, lora)
    place.settle(wrapped).eval()
    return model, wrapped


def build_captioner(config: Blip2Config, params: CaptionParams, place: Place, dtype: torch.dtype) -> Blip2Captioner:
    """The captioner as `caption` loads it, but for its processor: pictures are given as pixels, captions stay tokens.

    A prompt's few tokens are left out, the start token stands alone. Every caption is as long as it may be.
    """
    with place.construction():
        model = Blip2ForConditionalGeneration._from_config(config, dtype=dtype)
    decoding = replace(Decoding.of(params), prompts=("",), min_new_tokens=0)
    no_processor: Any = None
    captioner = Blip2Captioner(place.settle(model), no_processor, decoding)
    captioner.generation_config.min_new_tokens = params.max_new_tokens
    return captioner


def mgm_batch(config: MGMConfig, place: Place, rows: int, tokens: int) -> Batch:
    """Rows of one image and text up to `tokens`, all of it labelled: the most that a batch of this length can hold."""
    image = config.num_image_tokens
    ids = torch.full((rows, tokens), TOKEN)
    ids[:, 1 : 1 + image] = config.image_token_id
    labels = ids.clone()
    labels[:, : 1 + image] = IGNORE_INDEX
    return {
        "input_ids": ids.to(place.device),
        "labels": labels.to(place.device),
        **mgm_pixels(config, place, rows),
    }


def mgm_pixels(config: MGMConfig, place: Place, images: int) -> Batch:
    """`pixel_values` and `pixel_values_aux` of so many images."""
    views = () if config.image_grid == 1 else (config.num_tiles,)
    side, side_aux = config.vision_config.image_size, config.image_size_aux
    return {
        "pixel_values": place.pixels(images, *views, 3, side, side),
        "pixel_values_aux": place.pixels(images, 3, side_aux, side_aux),
    }


def captioner_pixels(config: Blip2Config, place: Place, images: int) -> torch.Tensor:
    """Pixels of so many images, [B, 3, H, W]."""
    vision: Any = config.vision_config
    side = vision.image_size
    return place.pixels(images, 3, side, side)


@dataclass
class Training:
    """A model with its optimizer.

    Attributes:
        model: As `build_for_training` makes it.
        dtype: What autocast computes in.
        max_grad_norm: What gradients are clipped to; 0 for no clipping.
    """

    model: nn.Module
    dtype: torch.dtype
    max_grad_norm: float

    def __post_init__(self) -> None:
        self.parameters = [parameter for _, parameter in trained(self.model)]
        # PyTorch's choice on a GPU: all tensors at once.
        self.optimizer = torch.optim.AdamW(self.parameters, lr=1e-5, weight_decay=0.0, foreach=True)

    def begin(self) -> None:
        """Be in the middle of an accumulation window: the optimizer has its state, gradients are there."""
        for parameter in self.parameters:
            parameter.grad = torch.zeros_like(parameter)
        self.optimizer.step()

    def state(self) -> list[torch.Tensor]:
        """The optimizer's tensors."""
        return [value for state in self.optimizer.state.values() for value in state.values()]

    def gradients(self) -> list[torch.Tensor]:
        """Those that are there."""
        return [parameter.grad for parameter in self.parameters if parameter.grad is not None]

    def accumulate(self, batch: Batch) -> None:
        """Forward and backward pass of one micro-batch."""
        device_type = batch["input_ids"].device.type
        items = (batch["labels"] != IGNORE_INDEX).sum()
        with torch.autocast(device_type, self.dtype, enabled=self.dtype != torch.float32):
            loss = self.model(**batch, num_items_in_batch=items).loss
        loss.backward()

    def update(self) -> None:
        """Clip the gradients, if they are to be, step, and drop them."""
        if self.max_grad_norm:
            torch.nn.utils.clip_grad_norm_(self.parameters, self.max_grad_norm, foreach=True)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)


@torch.inference_mode()
def probe(model: MGMForConditionalGeneration, batch: Batch) -> None:
    """What `merge` compares models by: the states before the head, and the logits of them, a slice at a time."""
    inputs = {name: tensor for name, tensor in batch.items() if name != "labels"}
    states = model.model(**inputs, use_cache=False).last_hidden_state[0]
    for _ in Output(states, model.lm_head.weight).logits():
        pass


def answer(model: MGMForConditionalGeneration, batch: Batch, *, new_tokens: int) -> None:
    """Answer a batch with exactly so many tokens: nothing ends an answer, and no near tie is decoded again."""
    decoder = GreedyDecoder(model, eos_token_id=NO_TOKEN, pad_token_id=0, max_new_tokens=new_tokens, tie_margin=0.0)
    decoder.decode(batch["input_ids"], {name: batch[name] for name in ("pixel_values", "pixel_values_aux")})


def caption(captioner: Blip2Captioner, pixels: torch.Tensor) -> None:
    """Caption a batch [B, 3, H, W]."""
    with torch.inference_mode():
        decoding, sampling = captioner.decoding, None
        if decoding.do_sample:
            draws = torch.zeros(len(pixels) * decoding.candidates, decoding.max_new_tokens)
            sampling = Sampling(draws, decoding.temperature, decoding.top_p)
        captioner.new_tokens(captioner.encode(pixels), copies=decoding.candidates, sampling=sampling)


def known_logits(module: nn.Module, args: Any, output: Any) -> Any:
    """A forward hook: real numbers in place of fake logits, because decoding looks at them. `TOKEN` is always next."""
    logits = torch.zeros(output.logits.shape)
    logits[..., TOKEN] = 1.0
    output.logits = logits
    return output
