"""How captions are written: the part of a captioner that is neither its weights nor its image."""

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from recap.params import CaptionParams


@dataclass(frozen=True)
class Decoding:
    """Settings of decoding; `params.yaml`, section caption, explains them.

    Attributes:
        prompts: Texts that captions continue; every one gives candidates of its own.
        candidates: Captions per image and prompt.
        min_new_tokens: Shortest caption in tokens.
        max_new_tokens: Longest caption in tokens.
        num_beams: Width of beam search; 1 is greedy search, or sampling.
        do_sample: Draw tokens at random, by a seed per image; needs num_beams 1.
        temperature: Above 0; only for sampling.
        top_p: In (0, 1]; for sampling and for junk that is drawn anew.
        repetition_penalty: Above 0; 1 changes nothing.
        redraws: Times that a junk caption is drawn anew, by sampling.
        language: The language asked for, such as "en"; None for any.
    """

    prompts: tuple[str, ...] = ("",)
    candidates: int = 1
    min_new_tokens: int = 0
    max_new_tokens: int = 32
    num_beams: int = 1
    do_sample: bool = False
    temperature: float = 1.0
    top_p: float = 1.0
    repetition_penalty: float = 1.0
    redraws: int = 0
    language: str | None = None

    @property
    def samples(self) -> bool:
        """Whether the seed can have a say."""
        return self.do_sample or self.redraws > 0

    def settings(self) -> dict[str, Any]:
        """What of it shapes captions: without the settings of sampling where nothing is sampled."""
        values = asdict(self) | {"prompts": list(self.prompts)}
        unused = (() if self.do_sample else ("temperature",)) + (() if self.samples else ("top_p",))
        return {name: value for name, value in values.items() if name not in unused}

    @classmethod
    def of(cls, params: "CaptionParams") -> "Decoding":
        """The settings of a run."""
        values = {name: getattr(params, name) for name in cls.__dataclass_fields__}
        return cls(**values | {"prompts": tuple(params.prompts)})
