"""MGM (Mini-Gemini): Gemma that reads a CLIP view of an image enriched with ConvNeXt detail.

In: token ids in which an image stands as a run of `image_token_id`, and the image at two resolutions.
Out: logits and loss. Gemma, CLIP and ConvNeXt are transformers' own; this file adds what joins them.

The low-resolution tokens query the high-resolution map ("patch info mining", section 3.2 of
arXiv:2403.18814): each token attends to the block of high-resolution positions that it covers, the result
is added to it, and an MLP projects the sum into the language model (see `recap.models.mgm.connectors`).

Follows dvlab-research/MGM@769820c (mgm/model/mgm_arch.py), Apache-2.0, without its code. Shapes: I images,
V views of an image at low resolution, N low-resolution patches, P high-resolution positions per patch,
C width of CLIP, A channels of all ConvNeXt stages, B rows, T tokens, D width of Gemma.
"""

import contextlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint
from transformers import (
    AutoModelForImageTextToText,
    CLIPVisionModel,
    ConvNextConfig,
    ConvNextModel,
    GemmaModel,
    GenerationMixin,
    PreTrainedModel,
)
from transformers.cache_utils import Cache
from transformers.modeling_outputs import BaseModelOutputWithPast, CausalLMOutputWithPast
from transformers.utils import can_return_tuple

from recap.models.mgm.configuration_mgm import ORIGINAL_IMAGE_TOKEN_ID, MGMConfig
from recap.models.mgm.connectors import MGMMiningProjector, multimodal_projector
from recap.models.mgm.conversation import IGNORE_INDEX
from recap.models.mgm.mining import blocks_of_patches, mine_patch_info, resize, side_by_side, split_into_tiles


class MGMConvNextModel(ConvNextModel):
    """ConvNeXt's stem and stages: mining reads raw stage outputs, the norm of the pooled output is left out.

    It has no attention, so it accepts whichever implementation the whole model is asked to use.
    """

    _supports_sdpa = True
    _supports_flash_attn = True
    _supports_attention_backend = True

    def __init__(self, config: ConvNextConfig) -> None:
        config._attn_implementation = "eager"
        super().__init__(config)
        self.layernorm = nn.Identity()  # type: ignore[assignment]


# At 256,000 words half a gigabyte of logits in float32, several times over.
LOSS_CHUNK = 512


@dataclass
class MGMModelOutputWithPast(BaseModelOutputWithPast):
    """Gemma's outputs and `image_hidden_states` [I, V*N, D]: the projected images before Gemma's scaling."""

    image_hidden_states: torch.Tensor | None = None


@dataclass
class MGMCausalLMOutputWithPast(CausalLMOutputWithPast):
    """Loss, logits [B, T, vocabulary] in float32 where wanted, cache, `image_hidden_states` as of the base model."""

    image_hidden_states: torch.Tensor | None = None


class MGMPreTrainedModel(PreTrainedModel):
    """What the two MGM classes share: loading, saving and initialisation."""

    config: MGMConfig
    config_class = MGMConfig
    base_model_prefix = "model"
    input_modalities = ["image", "text"]  # noqa: RUF012
    supports_gradient_checkpointing = True
    _no_split_modules = ["GemmaDecoderLayer", "CLIPEncoderLayer", "ConvNextLayer"]  # noqa: RUF012
    _skip_keys_device_placement = ["past_key_values"]  # noqa: RUF012
    _supports_flash_attn = True
    _supports_sdpa = True
    _supports_attention_backend = True

    @classmethod
    def from_pretrained(cls, *args: Any, **kwargs: Any) -> Any:
        """As in transformers, which makes every loaded parameter trainable; the towers are frozen again."""
        loaded = super().from_pretrained(*args, **kwargs)
        model = loaded[0] if isinstance(loaded, tuple) else loaded
        for module in model.modules():
            if isinstance(module, MGMModel):
                module.freeze_towers()
        return loaded

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        # Gemma, CLIP and ConvNeXt initialise themselves; the connectors start as PyTorch's layers do.
        if isinstance(module, nn.Linear | nn.LayerNorm):
            module.reset_parameters()


class MGMModel(MGMPreTrainedModel):
    """Two vision towers, the connectors and Gemma without its head.

    The towers start frozen, as they are throughout the original's training; unfreeze their parameters to
    train them. Frozen towers run without building a graph.
    """

    def __init__(self, config: MGMConfig) -> None:
        super().__init__(config)
        low, width = config.vision_config.hidden_size, config.text_config.hidden_size
        self.language_model = GemmaModel._from_config(config.text_config)
        self.vision_tower = CLIPVisionModel._from_config(config.vision_config)
        self.vision_tower_aux = MGMConvNextModel._from_config(config.vision_config_aux)
        self.vlm_uni_query_projector = MGMMiningProjector(low, low)
        self.vlm_uni_aux_projector = MGMMiningProjector(config.hidden_size_aux, low)
        self.vlm_uni_val_projector = MGMMiningProjector(config.hidden_size_aux, low)
        self.mm_projector = multimodal_projector(low, width)
        self.post_init()
        self.freeze_towers()

    def freeze_towers(self) -> None:
        """Stop CLIP and ConvNeXt from training."""
        self.vision_tower.requires_grad_(False)
        self.vision_tower_aux.requires_grad_(False)

    def low_resolution_features(self, views: torch.Tensor) -> torch.Tensor:
        """CLIP's hidden state `vision_feature_layer` without its class token: [I, 3, h, w] -> [I, N, C]."""
        tower = self.vision_tower
        with _as_frozen_unless_trained(tower):
            hidden = tower(views.to(tower.dtype), output_hidden_states=True).hidden_states
            return hidden[self.config.vision_feature_layer][:, 1:]

    def high_resolution_features(self, pixel_values_aux: torch.Tensor) -> list[torch.Tensor]:
        """Outputs of the ConvNeXt stages: [I, 3, H, W] -> [I, C0, H/4, W/4], [I, C1, H/8, W/8], ..."""
        tower = self.vision_tower_aux
        with _as_frozen_unless_trained(tower):
            # The first hidden state is the stem's output, before any stage.
            return list(tower(pixel_values_aux.to(tower.dtype), output_hidden_states=True).hidden_states[1:])

    def mine(self, low: torch.Tensor, blocks: Iterable[torch.Tensor]) -> torch.Tensor:
        """Low-resolution features enriched by mining.

        Args:
            low: [V, N, C] of V views.
            blocks: For each view the high-resolution features under each patch, [N, P, A].

        Returns:
            [V, N, C].
        """
        query = self.vlm_uni_query_projector(low)
        return low + mine_patch_info(query, blocks, self.vlm_uni_aux_projector, self.vlm_uni_val_projector)

    def get_image_features(self, pixel_values: torch.Tensor, pixel_values_aux: torch.Tensor) -> torch.Tensor:
        """Visual tokens of each image, before Gemma's scaling.

        Args:
            pixel_values: [I, 3, h, w], or [I, V, 3, h, w] with a grid: tiles row by row, global view last.
            pixel_values_aux: [I, 3, H, W].

        Returns:
            [I, V*N, D]; with a grid the global view's tokens come first, then tile after tile.
        """
        images = len(pixel_values)
        stages = self.high_resolution_features(pixel_values_aux)
        low = self.low_resolution_features(pixel_values.reshape(-1, *pixel_values.shape[-3:]))
        # One image's map at a time: the maps of a batch would be the largest thing in memory.
        maps = (side_by_side([stage[image : image + 1] for stage in stages]) for image in range(images))
        views = self.mine(low, (block for features in maps for block in self._blocks(features)))
        views = views.unflatten(0, (images, -1))  # [I, V, N, C]
        if self.config.image_global:
            views = views.roll(1, dims=1)
        return self.mm_projector(views.flatten(1, 2))

    def _blocks(self, features: torch.Tensor) -> Iterator[torch.Tensor]:
        """The blocks [N, P, A] of each view of one image [1, A, H, W], in the order of its low-resolution views."""
        grid, side = self.config.image_grid, self.config.patches_per_side
        yield from blocks_of_patches(split_into_tiles(features, grid), side)
        if self.config.image_global:
            yield from blocks_of_patches(resize(features, scale_factor=1 / grid), side)

    def forward(
        self,
        input_ids: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        pixel_values: torch.Tensor | None = None,
        pixel_values_aux: torch.Tensor | None = None,
        position_ids: torch.Tensor | None = None,
        past_key_values: Cache | None = None,
        inputs_embeds: torch.Tensor | None = None,
        use_cache: bool | None = None,
        **kwargs: Any,
    ) -> MGMModelOutputWithPast:
        """Run Gemma over text and images; see `MGMForConditionalGeneration.forward`."""
        if (input_ids is None) == (inputs_embeds is None):
            raise ValueError("expected exactly one of input_ids and inputs_embeds")
        image_features = None
        if pixel_values is not None and pixel_values_aux is not None:
            if input_ids is None:
                raise ValueError("pixel_values need input_ids: they say where the images stand")
            image_features = self.get_image_features(pixel_values, pixel_values_aux)
        elif pixel_values is not pixel_values_aux:
            raise ValueError("expected pixel_values and pixel_values_aux together, found only one of them")
        if input_ids is not None:
            # Before the embedding, as images are: under ZeRO-3 every process gathers parameters in the same order.
            nothing = self._nothing_of_the_connectors() if image_features is None and self.training else None
            prefill = past_key_values is None or past_key_values.get_seq_length() == 0
            inputs_embeds = self._embed(input_ids, image_features, prefill=prefill)
            if nothing is not None:
                inputs_embeds = inputs_embeds + nothing
        outputs = self.language_model(
            attention_mask=attention_mask,
            position_ids=position_ids,
            past_key_values=past_key_values,
            inputs_embeds=inputs_embeds,
            use_cache=use_cache,
            **kwargs,
        )
        return MGMModelOutputWithPast(**outputs, image_hidden_states=image_features)

    def _embed(self, input_ids: torch.Tensor, features: torch.Tensor | None, *, prefill: bool) -> torch.Tensor:
        """Text embeddings with the images in their places, all scaled by sqrt(D): [B, T, D]."""
        placeholders = (input_ids == self.config.image_token_id) | (input_ids == ORIGINAL_IMAGE_TOKEN_ID)  # [B, T]
        if features is None:
            if prefill and placeholders.any():
                raise ValueError(_mismatch(int(placeholders.sum()), 0))
            return self.language_model.embed_tokens(input_ids)
        embedding = self.language_model.embed_tokens
        # The placeholder may lie outside the vocabulary: embed any token there, the image replaces it.
        embeds = embedding(input_ids.masked_fill(placeholders, 0))
        features = self._features_in_use(placeholders, features)
        # transformers scales inside `embed_tokens`, so what enters beside it has to be scaled here.
        features = features.to(embeds.device, embeds.dtype) * embedding.embed_scale.to(embeds.dtype)
        return embeds.masked_scatter(placeholders.unsqueeze(-1), features)

    def _nothing_of_the_connectors(self) -> torch.Tensor:
        """Zero, with all connectors in its graph: a batch of text alone gives them a gradient of zero, not none.

        Under DDP and ZeRO every process has to reach every trained parameter. ZeRO-3 gathers frozen ones as well, one
        module after the other in every process, so there the towers have to run: on a blank image.
        """
        config = self.config
        if any(hasattr(parameter, "ds_id") for parameter in self.parameters()):
            views = (config.num_tiles,) if config.image_grid > 1 else ()
            side, side_aux = config.vision_config.image_size, config.image_size_aux
            blank = (torch.zeros(1, *views, 3, side, side), torch.zeros(1, 3, side_aux, side_aux))
            features = self.get_image_features(*(pixels.to(self.device) for pixels in blank))
        else:
            low = torch.zeros(1, 1, config.vision_config.hidden_size, device=self.device)
            features = self.mm_projector(self.mine(low, [low.new_zeros(1, 1, config.hidden_size_aux)]))
        return features.sum() * 0

    @staticmethod
    def _features_in_use(placeholders: torch.Tensor, features: torch.Tensor) -> torch.Tensor:
        """The images that have a place in the text, in reading order: [I, V*N, D] -> [I', V*N, D].

        Either every image has its run of placeholders, or every row owns at least one image and those of
        text-only rows are left out. Left-out features stay in the graph with zero gradient (the original
        concatenates a zero-length slice): under ZeRO every rank has to reach every parameter.

        Raises:
            ValueError: Neither holds.
        """
        images, length, _ = features.shape
        if int(placeholders.sum()) == images * length:
            return features
        counts = placeholders.sum(dim=1)
        slots = (counts // length).clamp(min=1)
        if (counts % length).any() or int(slots.sum()) != images:
            raise ValueError(_mismatch(int(placeholders.sum()), images * length))
        return features[(counts > 0).repeat_interleave(slots)]


class MGMForConditionalGeneration(MGMPreTrainedModel, GenerationMixin):
    """MGM with its language modelling head, tied to Gemma's embeddings.

    Calling it returns logits in float32 and, with labels, a loss: the mean over labelled tokens, or their sum
    over `num_items_in_batch` where Trainer gives one. The loss needs the head at labelled positions alone, so a model
    in training mode returns no logits beside it unless asked to. Arguments of the call:
        input_ids: [B, T] int64; each image stands as `image_token_id`, or the original's -200, once per visual token.
        attention_mask: [B, T], 1 on tokens and 0 on padding, which may lie on either side. Padding on the right, with
            labels of -100, needs none: no token looks to its right.
        pixel_values: [I, 3, h, w] or, with a grid, [I, V, 3, h, w]: normalised low-resolution views.
        pixel_values_aux: [I, 3, H, W], the same images at high resolution. Images are in reading order; a
            row without any may own one that goes unused.
        labels: [B, T] int64, -100 where nothing is to be learnt.
        position_ids: [B, T]; arange if None.
        past_key_values: Keys and values of earlier tokens; images belong to the first call only.
        inputs_embeds: [B, T, D] in place of `input_ids`, text only, already scaled by sqrt(D).
        use_cache: Return `past_key_values`; None means not with labels, and the configuration's choice without.
        logits_to_keep: Only the last so many logits; 0 means all.
        num_items_in_batch: Labelled tokens of all the batches that a step accumulates.
        return_logits: None means always but in training with labels.

    Attributes:
        loss_chunk: Labelled positions whose logits the loss holds at a time. Under ZeRO-3 it holds all.

    Raises:
        ValueError: Images and placeholders do not match.
    """

    _tied_weights_keys = {"lm_head.weight": "model.language_model.embed_tokens.weight"}  # noqa: RUF012

    def __init__(self, config: MGMConfig) -> None:
        super().__init__(config)
        self.model = MGMModel(config)
        self.loss_chunk = LOSS_CHUNK
        self.lm_head = nn.Linear(config.text_config.hidden_size, config.text_config.vocab_size, bias=False)
        self.post_init()

    def get_image_features(self, pixel_values: torch.Tensor, pixel_values_aux: torch.Tensor) -> torch.Tensor:
        """See `MGMModel.get_image_features`."""
        return self.model.get_image_features(pixel_values, pixel_values_aux)

    @can_return_tuple
    def forward(
        self,
        input_ids: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        pixel_values: torch.Tensor | None = None,
        pixel_values_aux: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
        position_ids: torch.Tensor | None = None,
        past_key_values: Cache | None = None,
        inputs_embeds: torch.Tensor | None = None,
        use_cache: bool | None = None,
        logits_to_keep: int | torch.Tensor = 0,
        num_items_in_batch: torch.Tensor | int | None = None,
        return_logits: bool | None = None,
        **kwargs: Any,
    ) -> MGMCausalLMOutputWithPast:
        """Predict the next token at every position; the class describes the arguments."""
        if labels is not None and use_cache is None:
            use_cache = False
        outputs = self.model(
            input_ids=input_ids,
            attention_mask=attention_mask,
            pixel_values=pixel_values,
            pixel_values_aux=pixel_values_aux,
            position_ids=position_ids,
            past_key_values=past_key_values,
            inputs_embeds=inputs_embeds,
            use_cache=use_cache,
            **kwargs,
        )
        hidden = outputs.last_hidden_state
        loss = None if labels is None else self._loss(hidden, labels, num_items_in_batch)
        logits = None
        if return_logits or (return_logits is None and not (self.training and labels is not None)):
            # -0 is 0, and a slice that starts there is everything.
            kept = slice(-logits_to_keep, None) if isinstance(logits_to_keep, int) else logits_to_keep
            logits = self.lm_head(hidden[:, kept]).float()
        return MGMCausalLMOutputWithPast(
            loss=loss,
            logits=logits,
            past_key_values=outputs.past_key_values,
            hidden_states=outputs.hidden_states,
            attentions=outputs.attentions,
            image_hidden_states=outputs.image_hidden_states,
        )

    def _loss(
        self, hidden: torch.Tensor, labels: torch.Tensor, num_items_in_batch: torch.Tensor | int | None
    ) -> torch.Tensor:
        """Cross-entropy of the next token, of [B, T, D] and [B, T], computed at labelled positions alone."""
        following = F.pad(labels[:, 1:], (0, 1), value=IGNORE_INDEX).to(hidden.device)
        # Positions and not a mask: a GPU waits for their number once, and a fake `hidden` can be indexed by them.
        labelled = (following != IGNORE_INDEX).nonzero(as_tuple=True)
        hidden, following = hidden[labelled], following[labelled]  # [K, D], [K]
        count = self._chunks_of_loss(following)
        if count == 1:
            total = self._summed_loss(hidden, following)
        else:
            # One chunk's logits at a time; the backward pass computes them again.
            chunks = zip(hidden.split(self.loss_chunk), following.split(self.loss_chunk), strict=True)
            losses = [checkpoint(self._summed_loss, *chunk, use_reentrant=False) for chunk in chunks]
            total = torch.stack(losses).sum()
        if isinstance(num_items_in_batch, torch.Tensor):
            num_items_in_batch = num_items_in_batch.to(total.device)
        return total / (len(following) if num_items_in_batch is None else num_items_in_batch)

    def _chunks_of_loss(self, following: torch.Tensor) -> int:
        """Into how many chunks the loss at the labelled positions [K] is cut.

        ZeRO-3 gathers the head for every call, in all processes together, and expects each step to be like the first:
        there it is one, whatever the batch.
        """
        sharded = hasattr(self.lm_head.weight, "ds_id")
        return 1 if sharded else max(1, -(-len(following) // self.loss_chunk))

    def _summed_loss(self, hidden: torch.Tensor, following: torch.Tensor) -> torch.Tensor:
        return F.cross_entropy(self.lm_head(hidden).float(), following, reduction="sum")

    def prepare_inputs_for_generation(
        self,
        input_ids: Any,
        next_sequence_length: int | None = None,
        past_key_values: Cache | None = None,
        attention_mask: Any = None,
        inputs_embeds: torch.Tensor | None = None,
        is_first_iteration: bool | None = False,
        **kwargs: Any,
    ) -> dict[str, Any]:
        """Inputs of one decoding step; with a cache the images go in with the first alone."""
        inputs: dict[str, Any] = super().prepare_inputs_for_generation(  # type: ignore[misc]
            input_ids,
            next_sequence_length=next_sequence_length,
            past_key_values=past_key_values,
            attention_mask=attention_mask,
            inputs_embeds=inputs_embeds,
            is_first_iteration=is_first_iteration,
            **kwargs,
        )
        if not is_first_iteration and kwargs.get("use_cache", True):
            inputs["pixel_values"] = inputs["pixel_values_aux"] = None
        return inputs


@contextmanager
def _as_frozen_unless_trained(tower: PreTrainedModel) -> Iterator[None]:
    """Without a graph, and in the tower's own dtype: autocast would compute parts of a bfloat16 tower in float32."""
    trains = any(parameter.requires_grad for parameter in tower.parameters())
    autocast = contextlib.nullcontext() if trains else torch.autocast(tower.device.type, enabled=False)
    with torch.set_grad_enabled(torch.is_grad_enabled() and trains), autocast:
        yield


def _mismatch(tokens: int, features: int) -> str:
    return f"Image features and image tokens do not match: tokens: {tokens}, features: {features}"


AutoModelForImageTextToText.register(MGMConfig, MGMForConditionalGeneration, exist_ok=True)
