"""The fake-tensor count of a profile as tables, and whether the profile keeps to its budget."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from recap.captioning.batching import BatchSize
from recap.models.loading import dtype_name
from recap.rehearsal.budget import GIB, smallest_card, usable
from recap.rehearsal.count import Parts, count_answer, count_caption, count_merge, count_training
from recap.rehearsal.memory import PARTS
from recap.rehearsal.profile import Profile
from recap.rehearsal.zero import BUCKETS, per_device

MICRO_BATCHES = (1, 2, 4, 8, 16)

COLUMNS = (*PARTS, BUCKETS)


@dataclass(frozen=True)
class Count:
    """The peak of one stage at one setting.

    Attributes:
        stage: Name of the stage.
        setting: The setting, for a person.
        parts: Bytes by part on each device.
    """

    stage: str
    setting: str
    parts: Mapping[str, int]

    @property
    def total(self) -> int:
        return sum(self.parts.values())


def own_counts(profile: Profile) -> Iterator[Count]:
    """Every stage at the profile's own setting: training at the usual length of a row and at the longest."""
    machine = profile.params.machine
    for stage in ("pretrain", "finetune"):
        micro_batch = profile.micro_batch(stage)
        for tokens in sorted({profile.usual_tokens(stage), profile.longest_tokens}):
            yield training_count(profile, stage, micro_batch, tokens, checkpointing=machine.gradient_checkpointing)
    tokens = profile.longest_tokens
    yield Count("merge", f"one probe of {tokens} tokens, float32", count_merge(profile, tokens))
    # What `auto` begins with; it goes on to what fits.
    batch = BatchSize(machine.caption_batch_size, None).now
    yield Count("caption", f"{batch} images", count_caption(profile, batch))
    batch, tokens = machine.answer_batch_size, profile.answer_tokens
    yield Count("answer", f"{batch} questions of {tokens} tokens", count_answer(profile, batch, tokens))


def training_count(profile: Profile, stage: str, micro_batch: int, tokens: int, *, checkpointing: bool) -> Count:
    """One setting of a training stage, on each of the profile's processes."""
    zero = profile.zero()
    parts: Parts = count_training(
        profile,
        stage,
        micro_batch=micro_batch,
        tokens=tokens,
        checkpointing=checkpointing,
        whole_loss=zero is not None and zero.stage == 3,
    )
    parts = per_device(parts, zero, profile.processes, weight_bytes=profile.dtype.itemsize)
    recomputed = "checkpointing" if checkpointing else "no checkpointing"
    return Count(stage, f"micro-batch {micro_batch}, {tokens} tokens, {recomputed}", parts)


def settings(profile: Profile, stage: str) -> Iterator[Count]:
    """A training stage at the longest rows, for every micro-batch and with and without checkpointing."""
    for checkpointing in (True, False):
        for micro_batch in MICRO_BATCHES:
            yield training_count(profile, stage, micro_batch, profile.longest_tokens, checkpointing=checkpointing)


def over_budget(profile: Profile, counts: Sequence[Count]) -> list[Count]:
    """The counts that exceed `machine.memory_gb`."""
    return [count for count in counts if count.total > usable(profile.params.machine.memory_gb)]


def heading(profile: Profile) -> str:
    """What the numbers are."""
    machine, dtype = profile.params.machine, dtype_name(profile.dtype)
    zero = f", {machine.deepspeed}" if machine.deepspeed else ""
    return (
        f"Peak memory of one device in GiB, counted on fake tensors; {dtype}, {profile.processes} process(es){zero}.\n"
        f"machine.memory_gb {machine.memory_gb:g}: {usable(machine.memory_gb) / GIB:.1f} GiB for tensors, the rest is "
        f"for the CUDA context (1 GiB) and the allocator (5 %)."
    )


def table(counts: Sequence[Count]) -> str:
    """Aligned lines, one a count."""
    width = max(len(count.setting) for count in counts)
    shown = [name for name in COLUMNS if any(count.parts.get(name) for count in counts)]
    lines = [" ".join([f"{'':8} {'':{width}}", *(f"{name:>11}" for name in shown), f"{'total':>7}", " fits"])]
    for count in counts:
        sizes = (f"{count.parts.get(name, 0) / GIB:11.2f}" for name in shown)
        card = smallest_card(count.total)
        fits = f"{card} GB" if card else "none"
        lines.append(
            " ".join([f"{count.stage:8} {count.setting:{width}}", *sizes, f"{count.total / GIB:7.2f}", f"{fits:>5}"])
        )
    return "\n".join(lines)
