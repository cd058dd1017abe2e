"""Text and images for MGM: the only place where its prompts and labels are made, for training and answering.

In: prompts or LLaVA conversations, and PIL images. Out: the tensors that `MGMForConditionalGeneration` takes,
each image standing in `input_ids` once per visual token. See `recap.models.mgm.conversation` for the format.
"""

from collections.abc import Sequence
from typing import Any

import torch
from PIL import Image
from transformers import AutoProcessor, BatchFeature, ProcessorMixin

from recap.models.mgm import conversation
from recap.models.mgm.configuration_mgm import ORIGINAL_IMAGE_TOKEN_ID, MGMConfig
from recap.models.mgm.conversation import IGNORE_INDEX, IMAGE_TOKEN, LabelMismatch
from recap.models.mgm.image_processing_mgm import AspectRatio, MGMImageProcessor


class MGMProcessor(ProcessorMixin):
    """Tokenizer and image processor of one MGM model.

    Args:
        image_processor: Prepares the pictures.
        tokenizer: Gemma's.
        num_image_tokens: Visual tokens per image, `MGMConfig.num_image_tokens`.
        image_token_id: Their id in `input_ids`, `MGMConfig.image_token_id`.
    """

    def __init__(
        self,
        image_processor: MGMImageProcessor,
        tokenizer: Any,
        num_image_tokens: int = 576,
        image_token_id: int = ORIGINAL_IMAGE_TOKEN_ID,
    ) -> None:
        self.num_image_tokens = num_image_tokens
        self.image_token_id = image_token_id
        super().__init__(image_processor, tokenizer)

    @property
    def model_input_names(self) -> list[str]:
        """Names of the tensors that `__call__` returns."""
        return ["input_ids", "attention_mask", *self.image_processor.model_input_names]

    def prompt(self, question: str, *, with_image: bool = True) -> str:
        """The text of a single question that the model continues with its answer."""
        return conversation.inference_prompt(question, with_image=with_image)

    def tokenize(self, text: str) -> list[int]:
        """Token ids with one placeholder per `<image>`; `expand` gives each its visual tokens.

        Nothing else in the text becomes a placeholder, not even its token written out.
        """
        return conversation.tokenize(self.tokenizer, text, self.image_token_id)

    def expand(self, ids: Sequence[int], labels: Sequence[int] | None = None) -> tuple[list[int], list[int]]:
        """Repeat each placeholder once per visual token, in ids and labels alike; labels default to the ids.

        The original's -200 is a placeholder too.
        """
        pairs: list[tuple[int, int]] = []
        for token, label in zip(ids, ids if labels is None else labels, strict=True):
            if token in (self.image_token_id, ORIGINAL_IMAGE_TOKEN_ID):
                pairs += [(self.image_token_id, IGNORE_INDEX)] * self.num_image_tokens
            else:
                pairs.append((token, label))
        return [token for token, _ in pairs], [label for _, label in pairs]

    def __call__(
        self,
        text: str | list[str],
        images: Image.Image | list[Image.Image] | None = None,
        *,
        image_aspect_ratio: AspectRatio = "pad",
        padding: bool = True,
        padding_side: str | None = None,
        max_length: int | None = None,
        return_tensors: str = "pt",
    ) -> BatchFeature:
        """Prompts and their images as a batch.

        Args:
            text: Made by `prompt`, or any text with `<image>` where an image belongs.
            images: In reading order, one per `<image>`.
            image_aspect_ratio: "pad" or "square", see `MGMImageProcessor`.
            padding: Pad rows to the longest; without it they must be of one length.
            padding_side: "left" to generate from a batch; the tokenizer's own side if None.
            max_length: Cut rows on the right beyond so many tokens, visual ones included.
            return_tensors: Only "pt".

        Returns:
            `input_ids` and `attention_mask` [B, T] int64, and with images `pixel_values` and
            `pixel_values_aux` float32.

        Raises:
            ValueError: Images and `<image>` differ in number, rows differ in length without padding, or other
                tensors than PyTorch's are asked for.
        """
        if return_tensors != "pt":
            raise ValueError(f"return_tensors should be 'pt', found {return_tensors!r}")
        texts = [text] if isinstance(text, str) else text
        pictures = [] if images is None else [images] if isinstance(images, Image.Image) else images
        places = sum(row.count(IMAGE_TOKEN) for row in texts)
        if places != len(pictures):
            raise ValueError(f"expected one image per {IMAGE_TOKEN}: {places} in the text, {len(pictures)} images")
        rows = [torch.tensor(self._cut(self.expand(self.tokenize(row))[0], max_length)) for row in texts]
        if not padding and len({len(row) for row in rows}) > 1:
            raise ValueError(f"rows have {sorted({len(row) for row in rows})} tokens; pass padding=True")
        batch = self._padded(rows, padding_side or self.tokenizer.padding_side)
        if pictures:
            batch |= self.image_processor(pictures, image_aspect_ratio=image_aspect_ratio)
        return BatchFeature(batch)

    def encode_conversation(
        self,
        conversations: Sequence[dict[str, str]],
        image: Image.Image | None,
        *,
        image_aspect_ratio: AspectRatio = "pad",
        max_length: int | None = None,
    ) -> dict[str, torch.Tensor]:
        """One training sample.

        Args:
            conversations: LLaVA's messages.
            image: The sample's image, if it has one. (The original gives a blank one to text without.)
            image_aspect_ratio: "pad" or "square".
            max_length: Cut on the right beyond so many tokens, visual ones included.

        Returns:
            `input_ids` and `labels` [T] int64 and, with an image, its `pixel_values` and `pixel_values_aux`, float32.

        Raises:
            LabelMismatch: The conversation cannot be labelled, or nothing to learn is left of it.
        """
        ids, labels = self.encode_text(conversations, has_image=image is not None)
        ids, labels = self.expand(ids, labels)
        ids = self._cut(ids, max_length)
        labels = labels[: len(ids)]
        if all(label == IGNORE_INDEX for label in labels):
            raise LabelMismatch(f"no answer within {len(ids)} tokens (max_length {max_length})")
        tokens = {"input_ids": torch.tensor(ids), "labels": torch.tensor(labels)}
        if image is None:
            return tokens
        pixels = self.image_processor(image, image_aspect_ratio=image_aspect_ratio)
        return tokens | {name: value[0] for name, value in pixels.items()}

    def encode_text(self, conversations: Sequence[dict[str, str]], *, has_image: bool) -> tuple[list[int], list[int]]:
        """Ids and labels of a conversation, an image being one placeholder.

        Raises:
            LabelMismatch: The conversation cannot be labelled.
        """
        text = conversation.training_text(conversations, has_image=has_image)
        ids = self.tokenize(text)
        return ids, conversation.answer_labels(self.tokenizer, text, ids, self.image_token_id)

    def collate(self, features: Sequence[dict[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
        """Samples of `encode_conversation` as a batch, padded on the right; labels of padding are -100.

        There is no attention mask: what stands on the right of a token is not seen by it. Images are those of the
        samples that have one, in their order.
        """
        batch = {
            "input_ids": _pad([feature["input_ids"] for feature in features], self.tokenizer.pad_token_id, "right"),
            "labels": _pad([feature["labels"] for feature in features], IGNORE_INDEX, "right"),
        }
        for name in self.image_processor.model_input_names:
            if pixels := [feature[name] for feature in features if name in feature]:
                batch[name] = torch.stack(pixels)
        return batch

    def _cut(self, ids: list[int], max_length: int | None) -> list[int]:
        """Truncate on the right; an image that would be cut in two is left out whole."""
        if max_length is None or len(ids) <= max_length:
            return ids
        start = max_length
        while start > 0 and ids[start - 1] == self.image_token_id:
            start -= 1
        whole = (max_length - start) // self.num_image_tokens * self.num_image_tokens
        return ids[: start + whole if ids[max_length] == self.image_token_id else max_length]

    def _padded(self, rows: list[torch.Tensor], side: str) -> dict[str, torch.Tensor]:
        return {
            "input_ids": _pad(rows, self.tokenizer.pad_token_id, side),
            "attention_mask": _pad([torch.ones_like(row) for row in rows], 0, side),
        }


def _pad(rows: list[torch.Tensor], value: int, side: str) -> torch.Tensor:
    return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=value, padding_side=side)


AutoProcessor.register(MGMConfig, MGMProcessor, exist_ok=True)
