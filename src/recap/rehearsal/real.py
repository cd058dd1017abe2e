"""Steps of each stage on a real device, at the real sizes, with random weights: seconds, peak memory, hours to expect.

Nothing is read but the parameter file and the sizes of the models. One stage after the other; each frees its model
before the next is built, and the merged model is folded in place, saved, and loaded again when the first one is gone.
"""

import gc
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from transformers import AutoModelForImageTextToText

from recap.captioning.batching import BatchSize
from recap.merging.merge import merge
from recap.rehearsal import steps
from recap.rehearsal.budget import GIB
from recap.rehearsal.count import count_answer, count_caption, count_merge, count_operations, count_training
from recap.rehearsal.measure import fastest, peak_bytes, peak_operations, reset_peak, timed
from recap.rehearsal.places import OnDevice
from recap.rehearsal.profile import Profile
from recap.runtime.errors import UserError
from recap.runtime.scratch import SCRATCH_ROOT
from recap.runtime.timing import hardware

# What a run's hours are told for, where the number of items is the data's.
ITEMS = 10_000


@dataclass(frozen=True)
class Rehearsed:
    """What one stage took.

    Attributes:
        stage: Name of the stage.
        setting: What was run.
        seconds: Of each piece, by name.
        peak: Bytes; see `peak_bytes`.
        counted: Bytes of tensors by the count on fakes, for the same setting.
        rate: Work a second, for a person.
        hours: Predicted.
        hours_for: What they are predicted for.
    """

    stage: str
    setting: str
    seconds: dict[str, float]
    peak: int
    counted: int
    rate: str
    hours: float
    hours_for: str


@dataclass(frozen=True)
class Rehearsal:
    """How much to run.

    Attributes:
        profile: See `Profile`; its dtype is the one that the device computes in.
        device: Where.
        rows: Samples, images or questions at a time, in place of the profile's own numbers.
        checkpointing: In place of `machine.gradient_checkpointing`.
        repeats: Runs of each piece; the fastest counts.
        new_tokens: Tokens of an answer, at least 2; the prediction is for the longest answer.
    """

    profile: Profile
    device: torch.device
    rows: int | None = None
    checkpointing: bool | None = None
    repeats: int = 1
    new_tokens: int = 8

    def run(self, stages: Iterable[str]) -> Iterator[Rehearsed]:
        """Rehearse stages one after the other."""
        work: dict[str, Callable[[], Rehearsed]] = {
            "pretrain": lambda: self.training("pretrain"),
            "finetune": lambda: self.training("finetune"),
            "merge": self.merge,
            "caption": self.caption,
            "answer": self.answer,
        }
        for stage in stages:
            yield work[stage]()
            gc.collect()
            if self.device.type == "cuda":
                torch.cuda.empty_cache()

    @property
    def place(self) -> OnDevice:
        return OnDevice(self.device)

    def seconds(self, work: Callable[..., object], *args: Any, **kwargs: Any) -> float:
        return fastest(self.device, self.repeats, work, *args, **kwargs)

    def training(self, stage: str) -> Rehearsed:
        """One micro-batch and one optimizer step of "pretrain" or "finetune"."""
        profile, params = self.profile, self.profile.training(stage)
        rows, tokens = self.rows or profile.micro_batch(stage), profile.usual_tokens(stage)
        checkpointing = self.checkpointing
        if checkpointing is None:
            checkpointing = profile.params.machine.gradient_checkpointing
        model = steps.build_for_training(
            profile.mgm, stage, profile.params.lora, self.place, profile.dtype, checkpointing=checkpointing
        )
        reset_peak(self.device)
        training = steps.Training(model, profile.dtype, params.max_grad_norm)
        training.begin()
        batch = steps.mgm_batch(profile.mgm, self.place, rows, tokens)
        micro_batch = self.seconds(training.accumulate, batch)
        _, update = timed(self.device, training.update)
        peak = peak_bytes(self.device)
        counted = count_training(profile, stage, micro_batch=rows, tokens=tokens, checkpointing=checkpointing)
        operations = count_operations(profile, stage, micro_batch=rows, tokens=tokens)
        share = params.global_batch_size / profile.processes
        return Rehearsed(
            stage,
            f"micro-batch {rows}, {tokens} tokens{', checkpointing' if checkpointing else ''}",
            {"micro-batch": micro_batch, "optimizer": update},
            peak,
            sum(counted.values()),
            f"{rows / micro_batch:.3g} samples/s, {rows * tokens / micro_batch:.3g} tokens/s, "
            f"{_operations_a_second(operations / micro_batch, self.device)}",
            params.max_steps * (share / rows * micro_batch + update) / 3600,
            f"{params.max_steps:,} steps of {params.global_batch_size}",
        )

    def merge(self) -> Rehearsed:
        """Probe, fold, save, load, probe again."""
        profile, device = self.profile, self.device
        batch = steps.mgm_batch(profile.mgm, self.place, 1, profile.usual_tokens("finetune"))
        model, wrapped = steps.build_adapted(profile.mgm, profile.params.lora, self.place)
        reset_peak(device)
        seconds = {"probe": self.seconds(steps.probe, model, batch)}
        _, seconds["fold"] = timed(device, merge, wrapped)
        nn.Module.to(model, profile.dtype)
        with _scratch_folder() as folder:
            _, seconds["save"] = timed(device, model.save_pretrained, folder)
            # What is loaded takes the place of what was saved.
            del model, wrapped
            gc.collect()
            loaded, seconds["load"] = timed(device, _load, folder, device, profile.dtype)
        seconds["probe merged"] = self.seconds(steps.probe, loaded, batch)
        probes = profile.params.merge.probes
        total = sum(seconds.values()) + (probes - 1) * (seconds["probe"] + seconds["probe merged"])
        return Rehearsed(
            "merge",
            f"probes of {batch['input_ids'].shape[1]} tokens",
            seconds,
            peak_bytes(self.device),
            sum(count_merge(profile, batch["input_ids"].shape[1]).values()),
            "",
            total / 3600,
            f"{probes} probes",
        )

    def caption(self) -> Rehearsed:
        """One batch of captions, as long as they may be."""
        profile, params = self.profile, self.profile.params
        rows = self.rows or BatchSize(params.machine.caption_batch_size, None).now
        captioner = steps.build_captioner(profile.captioner, params.caption, self.place, profile.dtype)
        reset_peak(self.device)
        pixels = steps.captioner_pixels(profile.captioner, self.place, rows)
        seconds = self.seconds(steps.caption, captioner, pixels)
        return Rehearsed(
            "caption",
            f"{rows} image(s), {params.caption.max_new_tokens} tokens",
            {"batch": seconds},
            peak_bytes(self.device),
            sum(count_caption(profile, rows).values()),
            f"{rows / seconds:.3g} images/s",
            ITEMS * seconds / rows / 3600,
            f"{ITEMS:,} images",
        )

    def answer(self) -> Rehearsed:
        """The first token of a batch of answers, and some more."""
        profile, params = self.profile, self.profile.params
        rows, longest = self.rows or params.machine.answer_batch_size, params.answer.max_new_tokens
        model = steps.build_for_answering(profile.mgm, self.place, profile.dtype)
        reset_peak(self.device)
        batch = steps.mgm_batch(profile.mgm, self.place, rows, profile.answer_tokens - longest)
        first = self.seconds(steps.answer, model, batch, new_tokens=1)
        some = self.seconds(steps.answer, model, batch, new_tokens=self.new_tokens)
        token = max(0.0, some - first) / (self.new_tokens - 1)
        return Rehearsed(
            "answer",
            f"{rows} question(s) of {batch['input_ids'].shape[1]} tokens",
            {"first token": first, "each token more": token},
            peak_bytes(self.device),
            sum(count_answer(profile, rows, profile.answer_tokens - longest).values()),
            f"{rows / first:.3g} questions/s at one token",
            ITEMS * (first + (longest - 1) * token) / rows / 3600,
            f"{ITEMS:,} questions, {longest} tokens each",
        )


def _operations_a_second(found: float, device: torch.device) -> str:
    peak = peak_operations(device)
    return f"{found / 1e12:.3g} TFLOP/s" + (f", MFU {100 * found / peak:.1f} %" if peak else "")


def _scratch_folder() -> tempfile.TemporaryDirectory[str]:
    try:
        SCRATCH_ROOT.mkdir(exist_ok=True)
        return tempfile.TemporaryDirectory(dir=SCRATCH_ROOT)
    except OSError as error:
        raise UserError(
            f"{SCRATCH_ROOT}: expected a folder to save the merged model in, found {error.strerror}; "
            "rehearse where files can be written"
        ) from None


def _load(folder: str, device: torch.device, dtype: torch.dtype) -> Any:
    return AutoModelForImageTextToText.from_pretrained(folder, dtype=dtype, device_map=device).eval()


def heading(device: torch.device, dtype: torch.dtype) -> str:
    """What the numbers were measured on."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else hardware()["processor"]
    threads = "" if device.type == "cuda" else f", {torch.get_num_threads()} thread(s)"
    kind = "of tensors" if device.type == "cuda" else "of the whole process"
    return f"{name}{threads}, {str(dtype).removeprefix('torch.')}, random weights; peak memory {kind}."


def line(rehearsed: Rehearsed) -> str:
    """One line for a person."""
    seconds = ", ".join(f"{name} {value:.3g} s" for name, value in rehearsed.seconds.items())
    rate = f"; {rehearsed.rate}" if rehearsed.rate else ""
    return (
        f"{rehearsed.stage:8} {rehearsed.peak / GIB:6.2f} GiB ({rehearsed.counted / GIB:.2f} counted)  "
        f"{_plain(rehearsed.hours):>7} h for {rehearsed.hours_for}\n"
        f"{'':8} {rehearsed.setting}: {seconds}{rate}"
    )


def _plain(number: float) -> str:
    return f"{number:,.0f}" if number >= 100 else f"{number:.3g}"
