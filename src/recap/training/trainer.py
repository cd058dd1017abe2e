"""The training loop of both stages: transformers' Trainer, made to stop on bad numbers and to survive a kill.

In: a model whose trained parameters have `requires_grad`, the run's samples. Out: the history of every step; the model
is trained in place. A run that is killed and started again gives the same weights, byte for byte on a CPU: checkpoints
hold weights, optimizer, schedule, random states and history, and the data order is fixed beforehand.
"""

import contextlib
import logging
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm
from transformers import PrinterCallback, Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer import SCHEDULER_NAME

from recap.params import TrainingParams
from recap.runtime.errors import UserError
from recap.runtime.seeding import derive_seed
from recap.training.checkpoints import last_complete, mark_complete, raise_if_disk_is_full, remove_torn, step_of
from recap.training.curves import LiveCurves
from recap.training.optimizer import optimizer_recipe
from recap.training.termination import SaveOnTermination
from recap.training.trainable import trained
from recap.training.validation import Validation, ValidationSchedule

logger = logging.getLogger(__name__)

WEIGHTS = "trained.safetensors"

History = list[dict[str, float]]


@dataclass(frozen=True)
class Trained:
    """How a training went.

    Attributes:
        history: One dict per optimizer step: "step", "loss" (nats per token), "grad_norm" (before clipping),
            "learning_rate" (of the first parameter group).
        validation: "step" and "val_loss" (nats per token) of each time that the held-out rows were asked.
        steps_before: How many of the steps an interrupted run had done before.
        loading_percent: Share of this process's seconds in which it waited for samples to be loaded.
    """

    history: History
    validation: History
    steps_before: int
    loading_percent: float


class TrainedPartTrainer(Trainer):
    """A Trainer that checkpoints the trained parameters alone and refuses numbers that are not finite.

    Towers and language model are frozen and lie in their own folders: a checkpoint of a 2B model shrinks from
    gigabytes to what changed. Under DeepSpeed the engine writes and reads its own files, by the same rule.

    Args:
        validation: Gives the loss that `evaluate` logs as "val_loss".
        loss_normalisation: "tokens": a step's loss is the mean over the labelled tokens of all its micro-batches.
            "micro_batch": the mean over micro-batches of the means over their tokens, as Trainers before 4.46 had it.
    """

    def __init__(self, *args: Any, validation: Validation | None, loss_normalisation: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.validation = validation
        # Whether the model is told the tokens of the whole step, to divide by them instead of its own.
        self.model_accepts_loss_kwargs = loss_normalisation == "tokens"
        self.seconds_loading = 0.0

    def evaluate(self, *args: Any, **kwargs: Any) -> dict[str, float]:
        if self.validation is None:
            raise RuntimeError("nothing to evaluate on")
        found = {"val_loss": self.validation.loss(_present(self.model_wrapped), self.args.device)}
        if not math.isfinite(found["val_loss"]):
            raise UserError(
                f"step {self.state.global_step} of {self.args.max_steps}: expected a finite loss of the held-out rows, "
                f"found {found['val_loss']}; lower learning_rate (now {self.args.learning_rate:g})"
            )
        self.log(found)
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, found)
        return found

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        # Under DeepSpeed the Trainer would gather every frozen weight here, for a file that nobody reads.
        if not self.is_deepspeed_enabled:
            super().save_model(output_dir, _internal_call)

    def _save(self, output_dir: str | None = None, state_dict: dict[str, torch.Tensor] | None = None) -> None:
        if not self.args.should_save:
            return
        folder = Path(output_dir or str(self.args.output_dir))
        folder.mkdir(parents=True, exist_ok=True)
        parameters = dict(trained(_present(self.model)))
        save_file({name: value.detach().contiguous() for name, value in parameters.items()}, folder / WEIGHTS)

    def _save_optimizer_and_scheduler(self, output_dir: str) -> None:
        if not self.is_deepspeed_enabled:
            super()._save_optimizer_and_scheduler(output_dir)
            return
        engine: Any = self.model_wrapped
        with _only_trained_in_state_dict(engine.module):
            engine.save_checkpoint(output_dir, exclude_frozen_parameters=True)
        if self.args.should_save and self.lr_scheduler is not None:
            torch.save(self.lr_scheduler.state_dict(), Path(output_dir) / SCHEDULER_NAME)

    def _prepare_for_training(self, max_steps: int, train_dataloader: Any, resume_from_checkpoint: Any) -> Any:
        by_engine = resume_from_checkpoint if self.is_deepspeed_enabled else None
        prepared = super()._prepare_for_training(
            max_steps, train_dataloader, None if by_engine else resume_from_checkpoint
        )
        if by_engine:
            # Not strict, as frozen weights are not in it; the Trainer would be strict for a model without LoRA.
            engine: Any = self.model_wrapped
            engine.load_checkpoint(by_engine, load_module_strict=False)
            # ZeRO-3 gathers its small parameters to load them. Its first pass, which it records and expects from then
            # on, would run without fetching them and differ from the second.
            engine.empty_partition_cache()
            self._load_optimizer_and_scheduler(by_engine)
        return prepared

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: nn.Module | None = None) -> None:
        weights = load_file(Path(resume_from_checkpoint) / WEIGHTS)
        parameters = dict(trained(_present(model or self.model)))
        if weights.keys() != parameters.keys():
            raise ValueError(
                f"{resume_from_checkpoint}: holds {sorted(weights)}, the model trains {sorted(parameters)}"
            )
        with torch.no_grad():
            for name, parameter in parameters.items():
                parameter.copy_(weights[name])

    def get_train_dataloader(self) -> DataLoader[Any]:
        """As the Trainer's, but batches stay in the host's memory until their turn.

        The Trainer fetches all that a step accumulates before it starts: at 32 x 8 images of 768 pixels, 2 GB.
        """
        loader = super().get_train_dataloader()
        loader.device = None
        return loader

    def get_batch_samples(self, *args: Any, **kwargs: Any) -> Any:
        start = time.perf_counter()
        samples = super().get_batch_samples(*args, **kwargs)
        self.seconds_loading += time.perf_counter() - start
        return samples

    def _get_grad_norm(self, *args: Any, **kwargs: Any) -> torch.Tensor | float | None:
        # Once a step: to look at the loss of every micro-batch would make the GPU wait for the CPU as often.
        if not torch.isfinite(self._tr_loss):
            self._stop("loss", self._tr_loss.item())
        norm: torch.Tensor | float | None = super()._get_grad_norm(*args, **kwargs)
        # float16's loss scaler meets an overflow by skipping the step and halving the scale; that is not divergence.
        if norm is not None and not math.isfinite(norm) and not self.args.fp16:
            self._stop("gradient norm", float(norm))
        return norm

    def _stop(self, what: str, value: float) -> None:
        raise UserError(
            f"step {self.state.global_step + 1} of {self.args.max_steps}: expected a finite {what}, found {value}; "
            f"nothing was saved from it: lower learning_rate (now {self.args.learning_rate:g}) or raise warmup_ratio"
        )


class OwnRandomStream(TrainerCallback):
    """Gives every process of a launch draws of its own.

    The Trainer seeds all alike, so that sample i of each would lose the same units to dropout. Alone, a process keeps
    what the run was seeded with, and one that goes on from a checkpoint gets its stream from there afterwards.
    """

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        if args.world_size > 1:
            torch.manual_seed(derive_seed(args.seed, "rank", args.process_index))


class CompletionMarker(TrainerCallback):
    """Marks a checkpoint as whole when every process has written its share."""

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        args.distributed_state.wait_for_everyone()
        if args.should_save:
            mark_complete(Path(str(args.output_dir)) / f"checkpoint-{state.global_step}")


class ProgressBar(TrainerCallback):
    """A bar of optimizer steps that shows the last loss."""

    def __init__(self, description: str) -> None:
        self.description = description
        self.bar: tqdm[Any] | None = None

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        if state.is_world_process_zero:
            self.bar = tqdm(total=state.max_steps, initial=state.global_step, desc=self.description, unit="step")

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **_: Any,
    ) -> None:
        if self.bar is not None and logs and "loss" in logs:
            self.bar.update(state.global_step - self.bar.n)
            self.bar.set_postfix(loss=f"{logs['loss']:.3f}", grad_norm=f"{logs['grad_norm']:.2f}")

    def on_train_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        if self.bar is not None:
            self.bar.close()


@contextlib.contextmanager
def _only_trained_in_state_dict(model: nn.Module) -> Iterator[None]:
    """Leave out of `state_dict` what does not train.

    DeepSpeed's `exclude_frozen_parameters` knows a tied weight by one of its names and saves it under the other: with
    MGM-2B a gigabyte of word embeddings in every checkpoint.
    """
    names = {name for name, _ in trained(model)}

    def drop(_module: nn.Module, state: dict[str, Any], _prefix: str, _metadata: Any) -> None:
        for name in state.keys() - names:
            del state[name]

    hook = model.register_state_dict_post_hook(drop)
    try:
        yield
    finally:
        hook.remove()


def _present(model: nn.Module | None) -> nn.Module:
    if model is None:
        raise RuntimeError("the Trainer has no model")
    return model


def train(
    model: nn.Module,
    samples: Dataset[Any],
    collate: Callable[[list[dict[str, torch.Tensor]]], dict[str, torch.Tensor]],
    arguments: TrainingArguments,
    *,
    params: TrainingParams,
    validation: Validation | None,
    description: str,
) -> Trained:
    """Train `model` in place, going on from the last whole checkpoint in `arguments.output_dir`.

    Raises:
        UserError: A loss or gradient norm is not finite, or a sample cannot be read.
    """
    checkpoint = _resumable(arguments)
    termination = SaveOnTermination()
    trainer = TrainedPartTrainer(
        model=model,
        args=arguments,
        train_dataset=samples,
        data_collator=collate,
        optimizer_cls_and_kwargs=optimizer_recipe(model, params, arguments),
        loss_normalisation=params.loss_normalisation,
        validation=validation,
        callbacks=[
            LiveCurves(Path(str(arguments.output_dir))),
            ProgressBar(description),
            OwnRandomStream(),
            CompletionMarker(),
            termination,
            *([ValidationSchedule(validation.steps)] if validation else []),
        ],
    )
    trainer.remove_callback(PrinterCallback)
    start = time.perf_counter()
    with _failures_in_one_line(trainer):
        try:
            trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
        finally:
            termination.restore()
    if termination.stopped_at is not None:
        termination.exit()
    loading_percent = 100 * trainer.seconds_loading / (time.perf_counter() - start)
    logger.info("%s: %.1f %% of the time was spent waiting for samples", description, loading_percent)
    log = trainer.state.log_history
    return Trained(
        history=[entry for entry in log if "grad_norm" in entry],
        validation=[entry for entry in log if "val_loss" in entry],
        steps_before=step_of(checkpoint) if checkpoint else 0,
        loading_percent=loading_percent,
    )


def _resumable(arguments: TrainingArguments) -> Path | None:
    folder = Path(str(arguments.output_dir))
    if arguments.should_save:
        for torn in remove_torn(folder):
            logger.info("removed %s: a kill left it unfinished", torn.name)
    arguments.distributed_state.wait_for_everyone()
    checkpoint = last_complete(folder)
    if checkpoint is not None:
        logger.info("going on from %s", checkpoint.name)
    return checkpoint


@contextlib.contextmanager
def _failures_in_one_line(trainer: Trainer) -> Iterator[None]:
    """Say what is wrong with a sample, or that the disk is full, as the user is to read it."""
    try:
        yield
    except UserError as error:
        # A DataLoader worker hands its exception on as the text of a traceback that ends with the message.
        raise UserError(str(error).strip().rsplit(f"{UserError.__name__}: ", 1)[-1]) from None
    except (OSError, RuntimeError, SafetensorError) as error:
        raise_if_disk_is_full(error, Path(str(trainer.args.output_dir)), trainer.state.global_step)
        raise


@contextlib.contextmanager
def whole_parameters(model: nn.Module) -> Iterator[None]:
    """Make the trained parameters whole on every process while they are saved.

    ZeRO-3 leaves empty shells in their place outside its own forward and backward; saved as they are, they give an
    adapter of a few bytes (trl#4416). Without ZeRO-3 this does nothing. Every process has to enter.
    """
    sharded = [parameter for _, parameter in trained(model) if hasattr(parameter, "ds_id")]
    if not sharded:
        yield
        return
    import deepspeed  # an optional dependency

    with deepspeed.zero.GatheredParameters(sharded):
        yield
