"""The foundry's own parameters (`foundry/params.yaml`, which explains each value)."""

from pathlib import Path

from recap.params import PositiveFloat, PositiveInt, Section, read_yaml, validate


class VisionParams(Section):
    scenes: PositiveInt
    heldout_scenes: PositiveInt
    steps: PositiveInt
    batch_size: PositiveInt
    learning_rate: PositiveFloat
    clip_image_size: PositiveInt
    clip_patch_size: PositiveInt
    clip_hidden_size: PositiveInt
    clip_layers: PositiveInt
    clip_heads: PositiveInt
    convnext_image_size: PositiveInt
    convnext_widths: list[PositiveInt]
    convnext_depths: list[PositiveInt]


class LessonSteps(Section):
    finding: PositiveInt
    asking: PositiveInt
    basics: PositiveInt
    questions: PositiveInt
    review: PositiveInt

    @property
    def course(self) -> int:
        """Steps of the four lessons before the review."""
        return self.finding + self.asking + self.basics + self.questions


class LanguageParams(Section):
    finding: PositiveInt
    captions: PositiveInt
    texts: PositiveInt
    conversations: PositiveInt
    reviewed: PositiveInt
    heldout_scenes: PositiveInt
    steps: LessonSteps
    batch_tokens: PositiveInt
    learning_rate: PositiveFloat
    review_learning_rate: PositiveFloat
    warmup_steps: PositiveInt
    vocabulary_size: PositiveInt
    hidden_size: PositiveInt
    intermediate_size: PositiveInt
    layers: PositiveInt
    heads: PositiveInt
    head_dim: PositiveInt
    patch_grid: PositiveInt


class CaptionerParams(Section):
    scenes: PositiveInt
    heldout_scenes: PositiveInt
    steps: PositiveInt
    review_steps: PositiveInt
    batch_size: PositiveInt
    learning_rate: PositiveFloat
    review_learning_rate: PositiveFloat
    vocabulary_size: PositiveInt
    image_size: PositiveInt
    patch_size: PositiveInt
    hidden_size: PositiveInt
    vision_layers: PositiveInt
    qformer_layers: PositiveInt
    text_layers: PositiveInt
    heads: PositiveInt
    query_tokens: PositiveInt


class AlignerParams(Section):
    scenes: PositiveInt
    heldout_scenes: PositiveInt
    steps: PositiveInt
    batch_size: PositiveInt
    learning_rate: PositiveFloat
    vocabulary_size: PositiveInt
    image_size: PositiveInt
    patch_size: PositiveInt
    hidden_size: PositiveInt
    vision_layers: PositiveInt
    text_layers: PositiveInt
    heads: PositiveInt
    projection: PositiveInt


class FoundryParams(Section):
    seed: int
    vision: VisionParams
    language: LanguageParams
    captioner: CaptionerParams
    aligner: AlignerParams


def load_foundry_params(path: Path) -> FoundryParams:
    """Read and check foundry/params.yaml."""
    params: FoundryParams = validate(FoundryParams, read_yaml(path), path)
    return params
