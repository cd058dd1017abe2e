"""Where a run's numbers come from: revision, library versions, hardware, and minutes per stage."""

import platform
import subprocess
from dataclasses import dataclass
from typing import Any

from recap.reporting.run import Run
from recap.runtime.versions import library_versions

# Libraries whose version can move a number.
LIBRARIES = (
    *("torch", "transformers", "peft", "accelerate", "safetensors", "tokenizers", "py-data-juicer", "lexicalrichness"),
    *("sacrebleu", "numpy", "pillow", "dvc", "dvclive"),
)


@dataclass(frozen=True)
class Duration:
    """One stage's minutes, and what it got through in them (`items` a second), where it recorded that."""

    stage: str
    minutes: float
    items: int | None
    items_per_second: float | None
    device: str | None


def revision() -> str | None:
    """The commit that the run started from, or None outside Git or before the first commit."""
    try:
        command = ["git", "rev-parse", "HEAD"]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


def versions() -> dict[str, str]:
    return {"python": platform.python_version(), **library_versions(LIBRARIES)}


def durations(run: Run) -> list[Duration]:
    return [
        Duration(
            timing["stage"],
            timing["seconds"] / 60,
            timing.get("items"),
            timing.get("items_per_second"),
            timing.get("device"),
        )
        for timing in run.timings
    ]


def hardware(run: Run) -> list[str]:
    """Every different machine that a stage ran on, in a line each."""
    return list(dict.fromkeys(_machine(timing["hardware"]) for timing in run.timings if "hardware" in timing))


def _machine(facts: dict[str, Any]) -> str:
    return f"{facts.get('processor', 'unknown processor')}, {facts.get('cpus', '?')} CPUs, {facts.get('machine', '')}"
