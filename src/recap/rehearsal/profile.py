"""What a rehearsal takes from a parameter file: the parameters, the sizes of the models, the precision."""

from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import Blip2Config

from recap.models.loading import DTYPES
from recap.models.mgm.configuration_mgm import MGMConfig
from recap.params import Params, TrainingParams, load_all
from recap.rehearsal.sizes import captioner_config, mgm_config


@dataclass(frozen=True)
class Profile:
    """A parameter file, read.

    Attributes:
        params: All of it.
        mgm: Sizes of the multimodal model.
        captioner: Sizes of the captioner.
        dtype: Of the weights that do not train.
    """

    params: Params
    mgm: MGMConfig
    captioner: Blip2Config
    dtype: torch.dtype

    @classmethod
    def read(cls, path: str | Path, dtype: torch.dtype | None = None) -> "Profile":
        """Read a parameter file; `dtype` goes before what the file says.

        Raises:
            UserError: The file has a problem, or a model's sizes are not known.
        """
        params = load_all(path)
        captioner, mgm = captioner_config(params.models), mgm_config(params.models, params.mgm)
        return cls(params, mgm, captioner, dtype or _dtype_on_the_card(params))

    def training(self, stage: str) -> TrainingParams:
        """The section of "pretrain" or "finetune"."""
        section: TrainingParams = getattr(self.params, stage)
        return section


def _dtype_on_the_card(params: Params) -> torch.dtype:
    """What `device.dtype` will mean on the machine that the budget is about: a GPU that computes bfloat16."""
    if params.device.dtype != "auto":
        return DTYPES[params.device.dtype]
    return torch.float32 if params.device.device == "cpu" else torch.bfloat16
