"""What would settle a benchmark that can't tell: how many seeds, or how many questions, for how many points.

More questions shrink what questions add to the error, and the noise within a run with it; more seeds shrink what seeds
add, and that same noise. So the error of another number of either follows from the parts of the error that was found.
"""

import math

from recap.comparison.statistics import MIN_CHANGED_IMAGES, MIN_SEEDS, Difference, Variances, detectable

# A difference below this is not worth more runs; a sentence then speaks of this one.
LEAST_TARGET = 1.0
# Beyond these, more is no advice.
MAX_SEEDS = 30
MAX_TIMES_THE_QUESTIONS = 100.0
_STEP = 1.05


def what_settles(difference: Difference, *, told: bool) -> str:
    """One sentence on what would settle a benchmark.

    Args:
        difference: As it was found.
        told: Whether it is called better or worse already.
    """
    if not difference.judged:
        return _more_seeds(difference)
    if difference.no_interval:
        return f"{_more_changes(difference)}."
    if told:
        return "Settled: questions and seeds do not explain this difference."
    if difference.interval and max(map(abs, difference.interval)) <= LEAST_TARGET:
        return f"Settled: the interval excludes a difference above {LEAST_TARGET:.1f} points."
    target = max(abs(difference.difference), LEAST_TARGET)
    if _found(difference.variances, target, difference):
        return f"A difference of {target:.1f} points would be found four times in five; the interval reaches beyond it."
    return _plan(difference, target)


def resized(variances: Variances, *, seeds: int | None = None, times_the_questions: float = 1.0) -> Variances:
    """The parts to be expected with other numbers of seeds a side and of questions.

    Args:
        variances: As they were found.
        seeds: A side has at least; None leaves each its own. Needs two runs a side, or nothing is known of seeds.
        times_the_questions: Their number, and that of images, is multiplied by it.
    """
    runs = (max(variances.runs[0], seeds or 0), max(variances.runs[1], seeds or 0))
    fewer = [old / new for old, new in zip(variances.runs, runs, strict=True)]
    noise = [residual * scale / times_the_questions for residual, scale in zip(variances.residual, fewer, strict=True)]
    choice = max(0.0, variances.items - sum(variances.residual)) / times_the_questions
    shown = sum(variances.seeds)
    kept = variances.beyond_residual / shown if shown else 0.0
    spread = [kept * part * scale for part, scale in zip(variances.seeds, fewer, strict=True)]
    return Variances(
        items=choice + sum(noise),
        images=round(variances.images * times_the_questions),
        runs=runs,
        seeds=(spread[0] + noise[0], spread[1] + noise[1]),
        residual=(noise[0], noise[1]),
    )


def _found(variances: Variances, target: float, difference: Difference) -> bool:
    return detectable(variances, difference.comparisons) <= target


def _plan(difference: Difference, target: float) -> str:
    parts = difference.variances
    # With unequal sides, bringing the smaller one to the other's number is the first step.
    equal = parts.runs[0] == parts.runs[1]
    more_seeds = range(max(parts.runs) + equal, MAX_SEEDS + 1)
    seeds = next((n for n in more_seeds if _found(resized(parts, seeds=n), target, difference)), None)
    questions = _questions_needed(difference, target, None)
    planned, would = "A new comparison planned", f"would show {target:.1f} points"
    most = _count(difference, MAX_TIMES_THE_QUESTIONS)
    asked = None if questions is None else f"{_count(difference, questions)} questions"
    if seeds and asked:
        return f"{planned} at {seeds} seeds a side, or with {asked}, {would}."
    if seeds:
        return f"{planned} at {seeds} seeds a side {would}; up to {most} questions with {_runs(difference)} do not."
    if asked:
        return f"{planned} with {asked} {would}; {MAX_SEEDS} seeds a side on these {difference.questions:,} do not."
    both = [(n, _questions_needed(difference, target, n)) for n in more_seeds]
    known = [(n, times) for n, times in both if times is not None]
    if not known:
        return f"Nothing up to {MAX_SEEDS} seeds a side and {most} questions {would}."
    n, times = min(known, key=lambda plan: plan[0] * plan[1])
    asked = f"{_count(difference, times)} questions"
    return f"{planned} at {n} seeds a side with {asked} {would}; neither does alone."


def _questions_needed(difference: Difference, target: float, seeds: int | None) -> float | None:
    """The smallest multiple of the questions that shows the target with so many seeds; None above the limit."""
    times = 1.0
    while times <= MAX_TIMES_THE_QUESTIONS:
        if _found(resized(difference.variances, seeds=seeds, times_the_questions=times), target, difference):
            return times
        times *= _STEP
    return None


def _more_seeds(difference: Difference) -> str:
    if difference.no_interval:
        return f"At least {MIN_SEEDS} seeds a side, and {_lower(_more_changes(difference))}."
    if not difference.variances.know_seeds:
        return f"At least {MIN_SEEDS} seeds a side: how far seeds move this difference, one run does not tell."
    shown = detectable(resized(difference.variances, seeds=MIN_SEEDS), difference.comparisons)
    return f"At least {MIN_SEEDS} seeds a side, which would show about {shown:.1f} points."


def _more_changes(difference: Difference) -> str:
    if not difference.changed_images:
        return "Other questions: both sides score alike on every image"
    if difference.changed_images >= MIN_CHANGED_IMAGES:
        return "Other questions: every image changed alike"
    needed = _count(difference, MIN_CHANGED_IMAGES / difference.changed_images)
    return f"At least {needed} such questions, so that {MIN_CHANGED_IMAGES} images would change"


def _lower(sentence: str) -> str:
    return sentence[0].lower() + sentence[1:]


def _runs(difference: Difference) -> str:
    a, b = difference.variances.runs
    return f"{a} seeds a side" if a == b else f"{a} and {b} seeds"


def _count(difference: Difference, times: float) -> str:
    """A number of questions, rounded up to two digits."""
    questions = difference.questions * times
    unit = 10 ** max(0, math.floor(math.log10(questions)) - 1)
    return f"{math.ceil(questions / unit - 1e-9) * unit:,}"
