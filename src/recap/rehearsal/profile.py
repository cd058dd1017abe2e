"""What a rehearsal takes from a parameter file: the parameters, the sizes of the models, the precision."""

from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import Blip2Config

from recap.models.loading import DTYPES
from recap.models.mgm.configuration_mgm import MGMConfig
from recap.params import Params, TrainingParams, load_all
from recap.rehearsal.sizes import captioner_config, mgm_config
from recap.rehearsal.zero import Zero
from recap.runtime.errors import UserError
from recap.training.batches import batch_plan, processes_to_start

# A caption with its template; a conversation of some turns.
USUAL_TEXT_TOKENS = {"pretrain": 60, "finetune": 128}
# A long question with its template: TextVQA's with the benchmark's OCR tokens.
QUESTION_TOKENS = 200


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
        if params.mgm.max_length <= mgm.num_image_tokens + 1:
            raise UserError(
                f"{path}: mgm.max_length: expected more than the {mgm.num_image_tokens} tokens of an image and its "
                f"start mark, found {params.mgm.max_length}"
            )
        return cls(params, mgm, captioner, dtype or _dtype_on_the_card(params))

    def training(self, stage: str) -> TrainingParams:
        """The section of "pretrain" or "finetune"."""
        section: TrainingParams = getattr(self.params, stage)
        return section

    @property
    def processes(self) -> int:
        """That train together, as `recap.launch` starts them; but a profile may be of another machine than this one."""
        gpus = torch.cuda.device_count() if self.params.device.device != "cpu" else 0
        return processes_to_start(self.params.machine, gpus)

    def micro_batch(self, stage: str) -> int:
        """Samples that a process of "pretrain" or "finetune" holds at a time.

        Raises:
            UserError: The batch cannot be cut so.
        """
        asked: int = getattr(self.params.machine, f"{stage}_micro_batch_size")
        return batch_plan(self.training(stage).global_batch_size, asked, self.processes).micro_batch_size

    def zero(self) -> Zero | None:
        """The ZeRO setting of training, if there is one."""
        path = self.params.machine.deepspeed
        return Zero.read(path, hidden_size=self.mgm.text_config.hidden_size) if path else None

    @property
    def longest_tokens(self) -> int:
        """Tokens of the longest row that can train."""
        return self.params.mgm.max_length

    def usual_tokens(self, stage: str) -> int:
        """Tokens of a usual row of "pretrain" or "finetune"."""
        return min(self.longest_tokens, self.mgm.num_image_tokens + USUAL_TEXT_TOKENS[stage])

    @property
    def answer_tokens(self) -> int:
        """Tokens of a long question with the longest answer."""
        return self.mgm.num_image_tokens + QUESTION_TOKENS + self.params.answer.max_new_tokens


def _dtype_on_the_card(params: Params) -> torch.dtype:
    """What `device.dtype` will mean on the machine that the budget is about: a GPU that computes bfloat16."""
    if params.device.dtype != "auto":
        return DTYPES[params.device.dtype]
    return torch.float32 if params.device.device == "cpu" else torch.bfloat16
