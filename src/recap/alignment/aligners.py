"""Models that say how well a caption fits an image: CLIP and SigLIP, and BLIP-2 with its matching head.

An image and a text are encoded apart, so that each is encoded once, however many pairs it is in. Texts are padded to
the model's limit, as these models were trained: what a text gives does not depend on the texts beside it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

import torch
from PIL import Image
from torch.nn import functional as F
from transformers import AutoModel, AutoProcessor, Blip2ForImageTextRetrieval

from recap.io import read_object
from recap.models.presence import require_whole
from recap.runtime.errors import UserError
from recap.runtime.pickles import tensors_alone
from recap.runtime.remote_code import own_code_explained

# Of BLIP-2's stage of image-text matching (Li et al. 2023): its Q-Former, a BERT, has room for more and saw no more.
BLIP2_TEXT_TOKENS = 32

RETRIEVAL = "Blip2ForImageTextRetrieval"
OTHER_ALIGNER = "choose a CLIP, a SigLIP or a BLIP-2 that needs none, see models.aligner"

FEWEST = 8
"""A smaller batch is filled up to so many: for a few rows, matrix products are summed in another order on a CPU."""

Item = TypeVar("Item")
Inputs = dict[str, torch.Tensor]


@dataclass(frozen=True)
class Score:
    """How well a text fits an image.

    Attributes:
        alignment: Cosine of their embeddings, in [-1, 1].
        itm: Probability that they match, in [0, 1], by the matching head; None where the model has none.
    """

    alignment: float
    itm: float | None


@dataclass(frozen=True)
class Text:
    """An encoded text; `cut` where only its beginning fitted the model. What `encoding` holds is its aligner's own."""

    encoding: Any
    cut: bool


class Aligner(Protocol):
    """What scoring asks of a model."""

    def inputs(self, image: Image.Image) -> Inputs:
        """Preprocess an RGB picture of any size. Safe to call from several threads."""
        ...

    def encode_images(self, inputs: Sequence[Inputs]) -> list[Any]:
        """Encode B images."""
        ...

    def encode_texts(self, texts: Sequence[str]) -> list[Text]:
        """Encode B texts."""
        ...

    def scores(self, images: Sequence[Any], texts: Sequence[Text]) -> list[Score]:
        """Score B pairs of what the other two returned."""
        ...


class DualEncoder:
    """A CLIP, a SigLIP, or any other model with `get_image_features` and `get_text_features`."""

    def __init__(self, model: Any, processor: Any) -> None:
        self.model = model.eval()
        self.processor = processor
        self.limit = min(processor.tokenizer.model_max_length, model.config.text_config.max_position_embeddings)

    def inputs(self, image: Image.Image) -> Inputs:
        return _image_inputs(self.processor, image)

    @torch.inference_mode()
    def encode_images(self, inputs: Sequence[Inputs]) -> list[torch.Tensor]:
        """Embeddings [D] of length 1, float32."""
        batch = _stacked(_filled(inputs), self.model.device)
        return list(_unit(self.model.get_image_features(**batch).pooler_output))[: len(inputs)]

    @torch.inference_mode()
    def encode_texts(self, texts: Sequence[str]) -> list[Text]:
        """Embeddings [D] of length 1, float32."""
        tokens, cut = _tokens(self.processor, _filled(texts), self.limit)
        features = _unit(self.model.get_text_features(**tokens.to(self.model.device)).pooler_output)
        return [Text(row, is_cut) for row, is_cut in zip(features, cut, strict=True)][: len(texts)]

    @torch.inference_mode()
    def scores(self, images: Sequence[torch.Tensor], texts: Sequence[Text]) -> list[Score]:
        cosines = (torch.stack(list(images)) * torch.stack([text.encoding for text in texts])).sum(-1)
        return [Score(value, None) for value in cosines.tolist()]


class Blip2Matcher:
    """BLIP-2 after its first stage: the cosine is that of the query that fits the text best, and a head says more."""

    def __init__(self, model: Any, processor: Any) -> None:
        self.model = model.eval()
        self.processor = processor
        self.limit = min(BLIP2_TEXT_TOKENS, model.config.qformer_config.max_position_embeddings)

    def inputs(self, image: Image.Image) -> Inputs:
        return _image_inputs(self.processor, image)

    @torch.inference_mode()
    def encode_images(self, inputs: Sequence[Inputs]) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """Embeddings of the queries [Q, D], of length 1, float32; and the patches [N, W] that matching looks at."""
        model = self.model
        patches = model.vision_model(**_stacked(_filled(inputs), model.device)).last_hidden_state  # [B, N, W]
        queries = model.query_tokens.expand(len(patches), -1, -1)
        seen = model.qformer(query_embeds=queries, encoder_hidden_states=patches).last_hidden_state
        features = _unit(model.vision_projection(_as(seen, model.vision_projection)))
        return list(zip(features, patches, strict=True))[: len(inputs)]

    @torch.inference_mode()
    def encode_texts(self, texts: Sequence[str]) -> list[Text]:
        """Embeddings [D] of length 1, float32; and tokens [T] with their mask, for matching."""
        model = self.model
        tokens, cut = _tokens(self.processor, _filled(texts), self.limit)
        ids, mask = (tokens[name].to(model.device) for name in ("input_ids", "attention_mask"))
        read = model.qformer(
            query_embeds=model.embeddings(input_ids=ids), query_length=0, attention_mask=mask
        ).last_hidden_state
        features = _unit(model.text_projection(_as(read[:, 0], model.text_projection)))
        rows = zip(features, ids, mask, strict=True)
        return [Text(row, is_cut) for row, is_cut in zip(rows, cut, strict=True)][: len(texts)]

    @torch.inference_mode()
    def scores(self, images: Sequence[tuple[torch.Tensor, torch.Tensor]], texts: Sequence[Text]) -> list[Score]:
        model = self.model
        queries, patches = (torch.stack(parts) for parts in zip(*_filled(images), strict=True))  # [B, Q, D], [B, N, W]
        encodings = [text.encoding for text in _filled(texts)]
        words, ids, mask = (torch.stack(parts) for parts in zip(*encodings, strict=True))
        cosines = (queries * words.unsqueeze(1)).sum(-1).amax(-1)  # [B]
        asked = model.query_tokens.expand(len(ids), -1, -1)
        together = model.qformer(
            query_embeds=model.embeddings(input_ids=ids, query_embeds=asked),
            query_length=asked.shape[1],
            attention_mask=torch.cat([mask.new_ones(asked.shape[:2]), mask], dim=1),
            encoder_hidden_states=patches,
        ).last_hidden_state[:, : asked.shape[1]]
        # The second of the two classes is "they match".
        matches = model.itm_head(_as(together, model.itm_head)).mean(1).float().softmax(-1)[:, 1]
        return [Score(*pair) for pair in zip(cosines.tolist(), matches.tolist(), strict=True)][: len(texts)]


def load_aligner(folder: Path, *, device: torch.device, dtype: torch.dtype) -> Aligner:
    """Load a `from_pretrained` folder; nothing is downloaded, and no code of it runs.

    Raises:
        UserError: The folder holds another kind of model, or lacks some of the weights or the tokenizer.
    """
    # Without a tokenizer, transformers would make one that knows no word.
    require_whole(folder, "aligner", tokenizer=True)
    config = read_object(folder / "config.json")
    retrieves = RETRIEVAL in (config.get("architectures") or ())
    if config.get("model_type") == "blip-2" and not retrieves:
        raise UserError(
            f"{folder}: expected a BLIP-2 that matches images and texts ({RETRIEVAL}), found one that captions; "
            "see models.aligner"
        )
    # Left open, transformers would ask a person whether to trust the folder, and wait.
    untrusted: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    with tensors_alone(folder), own_code_explained(folder, "aligner", way=OTHER_ALIGNER):
        loaded: Any = (Blip2ForImageTextRetrieval if retrieves else AutoModel).from_pretrained(
            folder, dtype=dtype, weights_only=True, output_loading_info=True, **untrusted
        )
    model, loading = loaded
    if not retrieves and not (hasattr(model, "get_image_features") and hasattr(model, "get_text_features")):
        raise UserError(
            f"{folder}: expected a CLIP, a SigLIP or a {RETRIEVAL}, found a model of type {config.get('model_type')}; "
            "see models.aligner"
        )
    if loading["missing_keys"]:
        missing = sorted(loading["missing_keys"])
        raise UserError(f"{folder}: {len(missing)} weights are missing, {missing[0]} first; get the model anew")
    # One backend everywhere: torchvision, where it is installed, would resize to slightly other pixels.
    with own_code_explained(folder, "aligner's processor", way=OTHER_ALIGNER):
        processor = AutoProcessor.from_pretrained(folder, backend="pil", **untrusted)
    return (Blip2Matcher if retrieves else DualEncoder)(model.to(device), processor)


def check_aligner(folder: Path) -> Score:
    """Load an aligner on the CPU and let it score a pair.

    Raises:
        UserError: See `load_aligner`; or the score is no number.
    """
    aligner = load_aligner(folder, device=torch.device("cpu"), dtype=torch.float32)
    images = aligner.encode_images([aligner.inputs(Image.new("RGB", (64, 48), "red"))])
    (score,) = aligner.scores(images, aligner.encode_texts(["a photo"]))
    if not -1.001 <= score.alignment <= 1.001:
        raise UserError(
            f"{folder}: expected a cosine of an image and a text, found {score.alignment}; get the model anew"
        )
    return score


def _filled(items: Sequence[Item]) -> list[Item]:
    """The items, and the last one over again up to `FEWEST`."""
    return [*items, *[items[-1]] * (FEWEST - len(items))]


def _image_inputs(processor: Any, image: Image.Image) -> Inputs:
    return {name: value[0] for name, value in processor.image_processor(image, return_tensors="pt").items()}


def _stacked(inputs: Sequence[Inputs], device: torch.device) -> Inputs:
    return {name: torch.stack([item[name] for item in inputs]).to(device) for name in inputs[0]}


def _tokens(processor: Any, texts: Sequence[str], limit: int) -> tuple[Any, list[bool]]:
    """Tokens of texts, [B, limit] each, and which texts were longer."""
    whole = processor.tokenizer(list(texts), verbose=False)["input_ids"]
    tokens = processor.tokenizer(
        list(texts), padding="max_length", truncation=True, max_length=limit, return_tensors="pt"
    )
    return tokens, [len(ids) > limit for ids in whole]


def _unit(features: torch.Tensor) -> torch.Tensor:
    return F.normalize(features.float(), dim=-1)


def _as(features: torch.Tensor, layer: torch.nn.Linear) -> torch.Tensor:
    """Features in a layer's dtype: the Q-Former stays in float32 where the rest is float16."""
    return features.to(layer.weight.dtype)
