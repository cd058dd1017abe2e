"""Peak memory of each stage by part, on fake tensors: no weights, no GPU, seconds a count."""

from collections.abc import Mapping

from torch.utils.flop_counter import FlopCounterMode

from recap.rehearsal import steps
from recap.rehearsal.memory import BATCHES, GRADIENTS, OPTIMIZER, MemoryCounter, claim_model
from recap.rehearsal.places import Fakes, Place
from recap.rehearsal.profile import Profile

Parts = Mapping[str, int]


def count_training(
    profile: Profile,
    stage: str,
    *,
    micro_batch: int,
    tokens: int,
    checkpointing: bool,
    whole_loss: bool = False,
    place: Place | None = None,
) -> Parts:
    """Bytes by part at the peak of `pretrain` or `finetune`, in the middle of an accumulation window.

    Args:
        profile: See `Profile`.
        stage: "pretrain" or "finetune".
        micro_batch: Rows of a micro-batch.
        tokens: Tokens of each row.
        checkpointing: Whether activations are computed again in the backward pass.
        whole_loss: Whether the logits of all labelled positions exist at once, as under ZeRO-3.
        place: Fakes, unless the count is to be made on real tensors.
    """
    place = place or Fakes()
    params = profile.training(stage)
    model = steps.build_for_training(
        profile.mgm,
        stage,
        profile.params.lora,
        place,
        profile.dtype,
        checkpointing=checkpointing,
        whole_loss=whole_loss,
    )
    counter = MemoryCounter(profile.mgm.text_config.vocab_size)
    with counter:
        claim_model(counter, model)
        training = steps.Training(model, profile.dtype, params.max_grad_norm)
        training.begin()
        counter.claim(training.gradients(), GRADIENTS)
        counter.claim(training.state(), OPTIMIZER)
        batch = steps.mgm_batch(profile.mgm, place, micro_batch, tokens)
        counter.claim(batch.values(), BATCHES)
        training.accumulate(batch)
        training.update()
    return counter.peak


def count_merge(profile: Profile, tokens: int, place: Place | None = None) -> Parts:
    """Bytes by part at the peak of the probes that prove a merge: the adapter model in float32, one row at a time."""
    place = place or Fakes()
    model, _ = steps.build_adapted(profile.mgm, profile.params.lora, place)
    counter = MemoryCounter(profile.mgm.text_config.vocab_size)
    with counter:
        claim_model(counter, model)
        batch = steps.mgm_batch(profile.mgm, place, 1, tokens)
        counter.claim(batch.values(), BATCHES)
        steps.probe(model, batch)
    return counter.peak


def count_caption(profile: Profile, batch_size: int, place: Place | None = None) -> Parts:
    """Bytes by part at the peak of `caption`."""
    place = place or Fakes()
    captioner = steps.build_captioner(profile.captioner, profile.params.caption, place, profile.dtype)
    captioner.model.language_model.register_forward_hook(steps.known_logits)
    counter = MemoryCounter(captioner.model.language_model.config.vocab_size)
    with counter:
        claim_model(counter, captioner.model)
        pixels = steps.captioner_pixels(profile.captioner, place, batch_size)
        counter.claim([pixels], BATCHES)
        steps.caption(captioner, pixels)
    return counter.peak


def count_answer(profile: Profile, batch_size: int, tokens: int, place: Place | None = None) -> Parts:
    """Bytes by part at the peak of `answer`.

    Args:
        profile: See `Profile`.
        batch_size: Questions at a time.
        tokens: Of a prompt and its answer. All of it is given as the prompt, which holds a little more memory than
            prompts that grow token by token.
        place: Fakes, unless the count is to be made on real tensors.
    """
    place = place or Fakes()
    model = steps.build_for_answering(profile.mgm, place, profile.dtype)
    model.register_forward_hook(steps.known_logits)
    counter = MemoryCounter(profile.mgm.text_config.vocab_size)
    with counter:
        claim_model(counter, model)
        batch = steps.mgm_batch(profile.mgm, place, batch_size, tokens)
        counter.claim(batch.values(), BATCHES)
        steps.answer(model, batch, new_tokens=2)
    return counter.peak


def count_operations(profile: Profile, stage: str, *, micro_batch: int, tokens: int) -> int:
    """Floating-point operations of a micro-batch that training needs, without what checkpointing repeats.

    Those of attention's own products are left out: 2 % at usual lengths.
    """
    place = Fakes()
    model = steps.build_for_training(profile.mgm, stage, profile.params.lora, place, profile.dtype, checkpointing=False)
    training = steps.Training(model, profile.dtype, profile.training(stage).max_grad_norm)
    batch = steps.mgm_batch(profile.mgm, place, micro_batch, tokens)
    with FlopCounterMode(display=False) as counter:
        training.accumulate(batch)
    return counter.get_total_flops()
