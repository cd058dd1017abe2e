"""What became of the images of a corpus: candidates from the store, or why there are none; and both in numbers."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from recap.captioning.candidates import Candidate
from recap.runtime.errors import UserError
from recap.runtime.faults import Fault, by_reason, first_of, reasons_of
from recap.runtime.store import Store

# What the store calls captions.
KIND = "caption"

# Why an image could not be read; junk has reasons of its own, see `junk_fault`.
REASONS = ("missing_image", "broken_image", "image_too_large", "image_too_thin", "path_leaves_root", "changed_image")

# Of junk, which no mended image helps against.
_ANOTHER_DRAW = "set caption.redraws, other caption.prompts or another captioner, or raise the limit"
ADVICE = {
    "junk_cut_off": "raise caption.max_new_tokens, which ended these captions, or the limit",
    "junk_language": "set caption.language to what the captioner writes, or leave it empty",
    "junk_empty": _ANOTHER_DRAW,
    "junk_prompt_echo": _ANOTHER_DRAW,
    "junk_loop": f"set caption.repetition_penalty above 1; or {_ANOTHER_DRAW}",
    "junk_boilerplate": _ANOTHER_DRAW,
}

IMAGES_AT_A_TIME = 5000


@dataclass(frozen=True)
class Captioned:
    """An image and its candidates, at least one."""

    image: str
    candidates: list[Candidate]

    def to_row(self) -> dict[str, Any]:
        return {"image": self.image, "candidates": [asdict(candidate) for candidate in self.candidates]}


Outcome = Captioned | Fault


class Allowance:
    """How many images may fail.

    Args:
        percent: `caption.max_failed`.
        images: Of the corpus.
    """

    def __init__(self, percent: float, images: int) -> None:
        self.percent = percent
        self.images = images
        self.faults: list[Fault] = []

    def spend(self, fault: Fault) -> None:
        """Count one that failed.

        Raises:
            UserError: It is one too many: a run stops then, not hours later.
        """
        self.faults.append(fault)
        found = 100 * len(self.faults) / self.images
        if found > self.percent:
            raise UserError(
                f"caption.max_failed: at most {self.percent:g} percent of {self.images} images may fail, "
                f"{len(self.faults)} ({found:.1f} percent) have already: {reasons_of(self.faults)}"
                f"{first_of(self.faults)}; {_advice(self.faults)}"
            )


def _advice(faults: Sequence[Fault]) -> str:
    """What helps against the most frequent reason."""
    counts = by_reason(faults)
    return ADVICE.get(max(counts, key=lambda reason: counts[reason]), "mend the images or raise the limit")


def junk_fault(image: str, candidates: Sequence[Candidate]) -> Fault | None:
    """Why an image has no caption though it has candidates; None where one of them may be chosen."""
    if any(candidate.junk is None for candidate in candidates):
        return None
    if not candidates:
        return Fault(image, None, "junk_empty", "the captioner wrote nothing")
    first = candidates[0]
    return Fault(
        image, None, f"junk_{first.junk}", f"none of {len(candidates)} can be used; the first: {first.caption[:100]!r}"
    )


def outcomes(
    store: Store, settings: Mapping[str, Any], digests: Mapping[str, str | Fault], faults: Sequence[Fault]
) -> Iterator[Outcome]:
    """The outcomes of all images in order; of an image whose candidates are all junk two, they and the fault.

    Args:
        store: With the candidates.
        settings: What they are kept under.
        digests: Every image's digest, by name, or why it has none.
        faults: Of the images that could not be opened.

    Raises:
        UserError: Candidates that were there are gone.
    """
    unreadable = {fault.where: fault for fault in faults}
    names = list(digests)
    for start in range(0, len(names), IMAGES_AT_A_TIME):
        chunk = {name: digests[name] for name in names[start : start + IMAGES_AT_A_TIME]}
        found = store.get(KIND, settings, [digest for digest in chunk.values() if isinstance(digest, str)])
        for name, digest in chunk.items():
            if isinstance(digest, Fault):
                yield digest
            elif digest in found:
                candidates = [Candidate(**candidate) for candidate in found[digest]]
                if candidates:
                    yield Captioned(name, candidates)
                if (fault := junk_fault(name, candidates)) is not None:
                    yield fault
            elif name in unreadable:
                yield unreadable[name]
            else:
                raise UserError(
                    f"machine.store: {store.path}: expected the captions of {name}, which were there before, found "
                    "none; something dropped them meanwhile: run again"
                )


class Tally:
    """Counts outcomes as they pass by, and keeps the faults."""

    def __init__(self, allowance: Allowance) -> None:
        self.allowance = allowance
        self.images = 0
        self._captions: set[str] = set()
        self._captioned = 0
        self._truncated = 0
        self._candidates = 0
        self._junk: dict[str, int] = {}

    @property
    def faults(self) -> list[Fault]:
        return self.allowance.faults

    def rows(self, outcomes: Iterator[Outcome]) -> Iterator[dict[str, Any]]:
        """The rows of `data/candidates.jsonl`.

        Raises:
            UserError: Too many images failed.
        """
        for outcome in outcomes:
            if isinstance(outcome, Fault):
                self.allowance.spend(outcome)
            else:
                self._count(outcome.candidates)
                yield outcome.to_row()

    def _count(self, candidates: Sequence[Candidate]) -> None:
        self._candidates += len(candidates)
        for candidate in candidates:
            if candidate.junk is not None:
                self._junk[candidate.junk] = self._junk.get(candidate.junk, 0) + 1
        first = next((candidate for candidate in candidates if candidate.junk is None), None)
        if first is not None:
            self._captioned += 1
            self._captions.add(first.caption)
            self._truncated += first.truncated

    def summary(self) -> dict[str, Any]:
        """Counts and variety.

        Returns:
            Percentages are 0-100. `unique_percent` is distinct captions per caption, `truncated_percent` the captions
            that the token limit ended, both of each image's first usable candidate; `junk_percent` is of all
            candidates. Without any caption, or candidate, these are None.
        """
        images, failed, count = self.allowance.images, len(self.faults), self._captioned
        return {
            "num_images": images,
            "num_captioned": count,
            "num_failed": failed,
            "failed_percent": 100 * failed / images,
            "failed_by_reason": dict.fromkeys(REASONS, 0) | by_reason(self.faults),
            "unique_percent": 100 * len(self._captions) / count if count else None,
            "truncated_percent": 100 * self._truncated / count if count else None,
            "num_candidates": self._candidates,
            "junk_percent": 100 * sum(self._junk.values()) / self._candidates if self._candidates else None,
            "junk_by_reason": dict(sorted(self._junk.items())),
        }
