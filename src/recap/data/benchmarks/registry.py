"""The benchmarks by name, in the order in which results are shown. A benchmark is added here and nowhere else.

An entry brings its files, title, groups and the name of its scoring rule with it; the parameter `benchmarks` chooses
which of them a run answers. Only what is new needs more: a rule its place in `recap.evaluation.scoring.registry`, a
format something in `recap.data.sources` that takes a user's files, questions of the embedded world a share of its
scenes. Each is an error where it is missing.
"""

from collections.abc import Mapping

from recap.data.benchmarks.base import Benchmark
from recap.data.benchmarks.gqa import GQA
from recap.data.benchmarks.mmbench import MMBench
from recap.data.benchmarks.textvqa import TextVQA, TextVQAWithTokens
from recap.data.benchmarks.vqav2 import OKVQA, VQAv2
from recap.runtime.errors import UserError

BENCHMARKS: dict[str, Benchmark] = {
    benchmark.name: benchmark for benchmark in (TextVQA(), TextVQAWithTokens(), MMBench(), VQAv2(), GQA(), OKVQA())
}

# Those that have a folder of files of their own.
WITH_FILES = {name: benchmark for name, benchmark in BENCHMARKS.items() if benchmark.folder == name}


def check_chosen(chosen: Mapping[str, str]) -> None:
    """Check the parameter `benchmarks`.

    Args:
        chosen: Benchmark to folder below `data/benchmarks/`.

    Raises:
        UserError: One is unknown, or its files do not lie in that folder; the line says which there are.
    """
    for name, folder in chosen.items():
        if name not in BENCHMARKS:
            raise UserError(f"benchmarks: expected some of {', '.join(BENCHMARKS)}, found {name!r}")
        if folder != BENCHMARKS[name].folder:
            raise UserError(
                f"benchmarks.{name}: expected {BENCHMARKS[name].folder}, the folder of its files, found {folder!r}"
            )
