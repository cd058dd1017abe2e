"""Where a run's numbers come from: what the training stages ran on, library versions, hardware, minutes per stage."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from recap.reporting.run import TRAINING_STAGES, Artifacts


@dataclass(frozen=True)
class Duration:
    """One stage's minutes, and what it got through in them (`items` a second), where it recorded that.

    `kept` are those of the minutes that were spent before a kill, in work that the run then went on from.
    """

    stage: str
    minutes: float
    kept: float
    items: int | None
    items_per_second: float | None
    device: str | None
    threads: int | None


@dataclass(frozen=True)
class TrainingEnvironment:
    """What one training stage computed on, as it recorded it; None for what it did not record."""

    stage: str
    device: str | None
    dtype: str | None
    threads: int | None
    processes: int | None
    samples_seen: int | None
    versions: dict[str, str]


def training_environments(run: Artifacts) -> list[TrainingEnvironment]:
    """One for each training stage that recorded any of it, in the pipeline's order."""
    found = []
    for stage in TRAINING_STAGES:
        values = run.metrics.get(stage, {})
        if {"device", "threads", "versions"} & values.keys():
            found.append(
                TrainingEnvironment(
                    stage,
                    device=values.get("device"),
                    dtype=values.get("dtype"),
                    threads=values.get("threads"),
                    processes=values.get("world_size"),
                    samples_seen=values.get("samples_seen"),
                    versions=values.get("versions", {}),
                )
            )
    return found


def training_versions(
    environments: Iterable[tuple[str, TrainingEnvironment]],
) -> list[tuple[list[str], dict[str, str]]]:
    """Library versions, each set of them once, with the names of those that trained with it.

    Args:
        environments: Each with the name that a page gives it.
    """
    return _grouped((name, environment.versions) for name, environment in environments)


def stage_versions(run: Artifacts) -> list[tuple[list[str], dict[str, str]]]:
    """Library versions that stages ran with, each set of them once, with the stages' names."""
    return _grouped((timing["stage"], timing.get("software", {}).get("versions", {})) for timing in run.timings)


def _grouped(named: Iterable[tuple[str, dict[str, str]]]) -> list[tuple[list[str], dict[str, str]]]:
    grouped: dict[tuple[tuple[str, str], ...], list[str]] = {}
    for name, versions in named:
        if versions:
            grouped.setdefault(tuple(sorted(versions.items())), []).append(name)
    return [(names, dict(versions)) for versions, names in grouped.items()]


def durations(run: Artifacts) -> list[Duration]:
    return [
        Duration(
            timing["stage"],
            timing["seconds"] / 60,
            (timing["seconds"] - timing.get("seconds_this_process", timing["seconds"])) / 60,
            timing.get("items"),
            timing.get("items_per_second"),
            timing.get("device"),
            timing.get("software", {}).get("threads"),
        )
        for timing in run.timings
    ]


def hardware(run: Artifacts) -> list[str]:
    """Every different machine that a stage ran on, in a line each."""
    return list(dict.fromkeys(_machine(timing["hardware"]) for timing in run.timings if "hardware" in timing))


def _machine(facts: dict[str, Any]) -> str:
    return f"{facts.get('processor', 'unknown processor')}, {facts.get('cpus', '?')} CPUs, {facts.get('machine', '')}"
