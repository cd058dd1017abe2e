"""One training stage from its flags and parameters to its published outputs: what `pretrain` and `finetune` share."""

import argparse
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from recap.io import write_jsonl, write_results
from recap.models.mgm.modeling_mgm import MGMForConditionalGeneration
from recap.models.mgm.processing_mgm import MGMProcessor
from recap.models.mgm.start import build_start
from recap.models.start_kinds import kind_of
from recap.params import MACHINE, FinetuneParams
from recap.runtime.holding import held
from recap.runtime.ranks import from_rank_zero, is_rank_zero, joined, timing_on_rank_zero, wait_for_all
from recap.runtime.scratch import discard, discard_unheld
from recap.runtime.seeding import seed_everything
from recap.runtime.timing import Timing
from recap.training.checkpoints import checkpoint_folder
from recap.training.compute import Compute, compute_for
from recap.training.curves import CURVES, VALIDATION_CURVES, publish_curves
from recap.training.dataset import Example, RowEncoder
from recap.training.drop_path import set_drop_path
from recap.training.fit import TrainingResult, fit
from recap.training.replicas import built_once
from recap.training.sampling import write_samples
from recap.training.zero import prepare_deepspeed


@dataclass(frozen=True)
class TrainingRun:
    """A stage at work.

    Attributes:
        stage: "pretrain" or "finetune".
        args: The stage's flags, see `recap.training.command`.
        sections: The parameters that the stage reads, by section.
        compute: Device, precision and how the work is spread.
        work: The scratch folder.
        timing: Told what was trained on.
    """

    stage: str
    args: argparse.Namespace
    sections: Mapping[str, Any]
    compute: Compute
    work: Path
    timing: Timing

    def build_mgm(self) -> tuple[MGMForConditionalGeneration, MGMProcessor]:
        """The model that training starts from, and its processor; see `recap.models.mgm.start`."""
        model, processor = built_once(
            lambda: build_start(
                *_pretrained(self.args),
                **self.sections["mgm"].model_dump(exclude={"max_length"}),
                dtype=self.compute.dtype,
                trust_remote_code=self.sections["device"].trust_remote_code,
            ),
            self.compute.device,
        )
        set_drop_path(model.model.vision_tower_aux, self.sections[self.stage].drop_path)
        return model, processor

    def fit(self, model: nn.Module, processor: MGMProcessor, examples: Sequence[Example]) -> TrainingResult:
        """Train what has `requires_grad` in place; see `recap.training.fit.fit`."""
        params = self.sections[self.stage]
        encoder = RowEncoder(processor, self.args.images, params.image_aspect_ratio, self.sections["mgm"].max_length)
        return fit(
            model,
            encoder,
            examples,
            stage=self.stage,
            params=params,
            compute=self.compute,
            work=self.work,
            seed=self.sections["seed"],
        )

    def publish(self, result: TrainingResult, *, headline: Sequence[str]) -> None:
        """Write what a run leaves behind besides the model; one process of the launch does.

        `headline` names what goes to metrics; everything else goes to details (`recap.io.write_results`).
        """
        if not is_rank_zero():
            return
        found = result.metrics
        self.timing.update(
            items=found["samples_seen"], kept=result.samples_kept, device=found["device"], dtype=found["dtype"]
        )
        self.timing["loading_percent"] = round(result.loading_percent, 1)
        write_samples(self.args.samples, result.order, result.rows, found["samples_per_step"])
        write_jsonl(self.args.left_out, (fault.to_row() for fault in result.left_out))
        names = (*CURVES, *VALIDATION_CURVES) if isinstance(self.sections[self.stage], FinetuneParams) else CURVES
        publish_curves(self.args.plots, work=self.work, names=names)
        write_results(self.args.metrics, self.args.details, self.stage, found, headline=headline)


@contextmanager
def training_run(
    stage: str,
    args: argparse.Namespace,
    sections: Mapping[str, Any],
    *,
    script: str,
    inputs: Sequence[Path] = (),
) -> Iterator[TrainingRun]:
    """Open a stage's scratch folder, seed everything, time what follows, and clear the folder after success.

    The processes of a launch meet here; what one can find out for all of them, one does.

    Args:
        stage: "pretrain" or "finetune".
        args: The stage's flags.
        sections: The parameters that the stage reads, by section; all but `machine` change the result.
        script: The stage script.
        inputs: What it reads beside data, images and the pretrained parts.

    Raises:
        UserError: An input is missing, there is no such device, or another run is at the same work.
    """
    compute = compute_for(stage, sections["device"], sections[MACHINE])
    with ExitStack() as holding:
        if compute.deepspeed is not None:
            prepare_deepspeed(compute.device, holding)
        holding.enter_context(joined(compute.device, even_alone=compute.deepspeed is not None))
        with timing_on_rank_zero(args.timing, stage) as timing:
            from_rank_zero(lambda: kind_of(args.start_from))
            work = from_rank_zero(
                lambda: checkpoint_folder(
                    stage,
                    inputs=[args.data, args.images, *_pretrained(args), *inputs],
                    params={name: section for name, section in sections.items() if name != MACHINE},
                    script=script,
                    compute=compute,
                )
            )
            if is_rank_zero():
                holding.enter_context(held(work))
                timing.keep_in(work)
            wait_for_all()
            seed_everything(sections["seed"])
            yield TrainingRun(stage, args, sections, compute, work, timing)
        if is_rank_zero():
            discard(work)
            discard_unheld(work.parent)


def _pretrained(args: argparse.Namespace) -> tuple[Path, Path, Path, Path]:
    return args.start_from, args.language_model, args.vision_tower, args.vision_tower_aux
