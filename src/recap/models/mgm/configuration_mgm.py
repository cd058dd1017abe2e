"""Configuration of MGM (Mini-Gemini): a Gemma language model that sees an image at two resolutions.

In: the configurations of Gemma, CLIP (low resolution) and ConvNeXt (high resolution) and how they meet.
Follows Mini-Gemini (arXiv:2403.18814) and dvlab-research/MGM@769820c, Apache-2.0, without its code.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from huggingface_hub.errors import StrictDataclassError
from transformers import AutoConfig, CLIPVisionConfig, ConvNextConfig, GemmaConfig, PreTrainedConfig
from transformers.configuration_utils import SubConfigSpec

from recap.models.start_kinds import MERGED_TYPE
from recap.runtime.errors import UserError, one_line

ORIGINAL_IMAGE_TOKEN_ID = -200  # What the original puts in `input_ids` for an image; read beside `image_token_id`.


@contextmanager
def readable_config(folder: Path) -> Iterator[None]:
    """Turn what transformers makes of a folder's wrong sizes into one line.

    Raises:
        UserError: Its config.json is not one of this model.
    """
    try:
        yield
    except (ValueError, TypeError, StrictDataclassError) as error:
        raise UserError(f"{folder / 'config.json'}: {one_line(error)}") from None


class MGMConfig(PreTrainedConfig):
    """What an `MGMForConditionalGeneration` is made of; the defaults are MGM-2B.

    Args:
        text_config: Gemma. `hidden_act` is taken literally: "gelu" is the exact (erf) GELU, as in the
            releases MGM was written for; `GemmaConfig` alone would turn it into the tanh approximation.
        vision_config: CLIP vision tower; its `image_size` is the low resolution.
        vision_config_aux: ConvNeXt tower; only stem and stages are used, their channels concatenated.
        image_size_aux: Side of the high-resolution image in pixels.
        image_grid: 2 gives the low-resolution tower a 2x2 grid of tiles (MGM-HD); 1 the whole image.
        image_global: With a grid, also the whole image at low resolution.
        vision_feature_layer: Index into CLIP's hidden states; -2 is the output of the last layer but one.
        image_token_id: Stands in `input_ids` once per visual token. Any integer; within the vocabulary, generation can
            read prompts as it reads text. The original's -200 is always understood as well.

    Raises:
        ValueError: The sizes cannot work together.
    """

    model_type = MERGED_TYPE
    sub_configs_defaults = {  # noqa: RUF012 - the base class declares it a ClassVar
        "text_config": SubConfigSpec(
            config_class=GemmaConfig,
            init_kwargs={
                "hidden_size": 2048,
                "intermediate_size": 16384,
                "num_hidden_layers": 18,
                "num_attention_heads": 8,
                "num_key_value_heads": 1,
            },
        ),
        "vision_config": SubConfigSpec(
            config_class=CLIPVisionConfig,
            init_kwargs={
                "hidden_size": 1024,
                "intermediate_size": 4096,
                "num_hidden_layers": 24,
                "num_attention_heads": 16,
                "image_size": 336,
                "patch_size": 14,
            },
        ),
        "vision_config_aux": SubConfigSpec(
            config_class=ConvNextConfig,
            init_kwargs={"hidden_sizes": [192, 384, 768, 1536], "depths": [3, 3, 27, 3]},
        ),
    }
    keys_to_ignore_at_inference = ["past_key_values"]  # noqa: RUF012

    text_config: Any = None
    vision_config: Any = None
    vision_config_aux: Any = None
    image_size_aux: int = 768
    image_grid: int = 1
    image_global: bool = False
    vision_feature_layer: int = -2
    image_token_id: int = ORIGINAL_IMAGE_TOKEN_ID
    tie_word_embeddings: bool = True

    def __post_init__(self, **kwargs: Any) -> None:
        literal = {}
        if isinstance(self.text_config, dict):
            literal = {key: value for key, value in self.text_config.items() if key == "hidden_act"}
            self.text_config = {key: value for key, value in self.text_config.items() if key != "hidden_act"}
        super().__post_init__(**kwargs)
        for key, value in literal.items():
            setattr(self.text_config, key, value)
        self._check_sizes()

    def _check_sizes(self) -> None:
        if self.image_global and self.image_grid == 1:
            raise ValueError("image_global=True needs image_grid > 1: with one tile the tile is the whole image")
        aux_side = self.image_size_aux // self.vision_config_aux.patch_size // self.image_grid
        if aux_side < self.patches_per_side:
            raise ValueError(
                f"image_size_aux={self.image_size_aux} gives {aux_side} high-resolution positions a side "
                f"per tile, fewer than the {self.patches_per_side} of the low resolution"
            )

    @property
    def patches_per_side(self) -> int:
        """Side of the low-resolution patch grid."""
        return self.vision_config.image_size // self.vision_config.patch_size

    @property
    def num_tiles(self) -> int:
        """Low-resolution views of one image: the tiles of the grid and, if asked for, the global view."""
        return self.image_grid**2 + int(self.image_global)

    @property
    def num_image_tokens(self) -> int:
        """Visual tokens of one image."""
        return self.num_tiles * self.patches_per_side**2

    @property
    def hidden_size_aux(self) -> int:
        """Channels of the high-resolution features: all ConvNeXt stages side by side."""
        return sum(self.vision_config_aux.hidden_sizes)


AutoConfig.register(MGMConfig.model_type, MGMConfig, exist_ok=True)
