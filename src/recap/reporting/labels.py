"""Words for the names that stand in metrics files, in the order the page shows them."""

from collections.abc import Mapping

from recap.data.benchmarks.mmbench import PLAIN_ACCURACY
from recap.data.benchmarks.registry import BENCHMARKS

CURVE_LABELS = {"loss": "Loss", "val_loss": "Loss of held-out conversations", "grad_norm": "Gradient norm"}

TRAINING_LABELS = {
    "steps": "optimizer steps",
    "samples_seen": "samples seen",
    "unique_samples": "different samples",
    "epochs": "epochs",
    "rows_left_out": "rows left out",
    "trained_parameters": "trained parameters",
    "trained_percent": "of all parameters, %",
    "loss_first": "loss, first step",
    "loss_final": "loss, last tenth",
    "val_loss": "loss, held-out conversations",
    "loss_detrended_std": "loss noise, standard deviation",
    "loss_spike_score": "loss spikes, % of steps",
    "grad_norm_max": "gradient norm, largest",
    "grad_norm_spike_score": "gradient spikes, % of steps",
    "clipped_steps_percent": "clipped steps, %",
    "nonfinite_steps": "steps not finite",
}

PROOF_LABELS = {
    "lora_tensors": "LoRA tensors",
    "connector_tensors": "connector tensors",
    "probes": "samples compared",
    "logit_difference_max": "largest logit difference, adapter against merged model, in float32",
    "logit_difference_mean": "mean logit difference",
    "greedy_agreement_percent": "same next token, %",
    "adapter_effect_max": "largest logit difference that the adapter makes",
    "dtype": "saved as",
    "saved_difference_mean": "mean logit difference, adapter in float32 against the saved model",
    "rounding_difference_mean": "mean logit difference that this dtype makes to the adapter model",
}

# name: (label, what a reader should know)
QUALITY_LABELS = {
    "words_mean": ("words a caption", "mean"),
    "words_sd": ("spread of words a caption", "standard deviation"),
    "characters_mean": ("characters a caption", "mean"),
    "characters_sd": ("spread of characters a caption", "standard deviation"),
    "too_short_percent": ("too short, %", "fewer than six words"),
    "repetitive_percent": ("repetitive, %", "a phrase at once followed by itself"),
    "word_repetition_percent": ("repeated words, %", "mean share of a caption"),
    "duplicate_caption_percent": ("duplicate captions, %", "equal to an earlier one"),
    "near_duplicate_caption_percent": ("near duplicates, %", "all but equal to an earlier caption"),
    "alignment": ("alignment", "cosine of caption and picture; higher fits better"),
    "mattr": ("MATTR", "higher is more diverse; fair across sizes"),
    "mtld": ("MTLD", "higher is more diverse; fair across sizes"),
    "hdd": ("HD-D", "higher is more diverse; fair across sizes"),
    "maas": ("Maas a²", "lower is more diverse"),
    "distinct_1": ("distinct-1", "equal-size samples"),
    "distinct_2": ("distinct-2", "equal-size samples"),
    "distinct_3": ("distinct-3", "equal-size samples"),
    "self_repetition": ("self-repetition", "lower is more diverse"),
    "self_bleu": ("self-BLEU", "lower is more diverse"),
    "compression_ratio": ("compression ratio", "lower is more diverse"),
    "ttr": ("type-token ratio", "falls as a text grows: never compare it alone"),
}

# What `quality` says of whole corpora.
WHOLE_LABELS = {
    "tokens": "tokens",
    "vocabulary": "different words",
    "ttr": "type-token ratio",
    "words_sd": "spread of words a caption, standard deviation",
    "characters_sd": "spread of characters a caption, standard deviation",
    "duplicate_caption_percent": "duplicate captions, %",
    "near_duplicate_caption_percent": "near duplicates, %",
    "aligned_rows": "rows with an alignment",
}


# Where the caption that a row carries comes from.
SOURCE_LABELS = {
    "raw": "the raw caption",
    "blip2": "BLIP-2's caption",
    "shuffled": "BLIP-2's caption of another image",
    "length_matched": "raw words at the length of BLIP-2's caption",
    "other_image": "the raw caption of another image",
}

# What a candidate caption is scored by.
SCORE_LABELS = {
    "alignment": "cosine",
    "itm": "ITM",
    "novelty": "novelty",
}


def source_of(source: str) -> str:
    return SOURCE_LABELS.get(source, source)


def title_of(benchmark: str) -> str:
    return BENCHMARKS[benchmark].title if benchmark in BENCHMARKS else benchmark


def notes_on(conventions: Mapping[str, str | None]) -> list[str]:
    """What the scores of benchmarks mean, where that does not go without saying: a sentence each.

    Args:
        conventions: By benchmark, the rule that its scores say they follow; None where that is not known.
    """
    notes = []
    for name, convention in conventions.items():
        if convention and convention.startswith(PLAIN_ACCURACY):
            notes.append(f"{title_of(name)}: {convention}. It is higher than the circular score that papers give.")
        elif name in BENCHMARKS and BENCHMARKS[name].note:
            notes.append(f"{title_of(name)}: {BENCHMARKS[name].note}.")
    return notes
