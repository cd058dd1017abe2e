"""The scoring rules by the name under which benchmarks ask for them."""

from recap.data.benchmarks.base import Benchmark
from recap.evaluation.scoring.base import Scorer
from recap.evaluation.scoring.circular import CircularScorer
from recap.evaluation.scoring.exact_match import ExactMatchScorer
from recap.evaluation.scoring.mmf import MMFScorer
from recap.evaluation.scoring.official_vqa import OfficialVQAScorer

SCORERS: dict[str, type[Scorer]] = {
    "mmf": MMFScorer,
    "official_vqa": OfficialVQAScorer,
    "exact_match": ExactMatchScorer,
    "circular": CircularScorer,
}


def scorer_of(benchmark: Benchmark) -> Scorer:
    """The rule of a benchmark.

    Raises:
        LookupError: It names a rule that does not exist.
    """
    if benchmark.scoring not in SCORERS:
        raise LookupError(f"{benchmark.name}: expected a rule among {', '.join(SCORERS)}, found {benchmark.scoring!r}")
    return SCORERS[benchmark.scoring](benchmark)
