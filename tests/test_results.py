"""The results that the repository carries: made by the code beside them, and the same wherever they stand.

The headline run (recipe blip2, tiny scale) is in dvc.lock, metrics/ and plots/; the comparison that README.md quotes in
docs/results/verdict.json.
"""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from recap.comparison.flattening import flatten
from recap.io import read_json
from recap.reporting.results import DOCUMENTS, PLACEBO, SIMULATION, VERDICT, all_tables, fill
from tests.clones import ROOT, Clone, ran

# What each document must quote.
QUOTED = {
    "README.md": {"headline"},
    "docs/RESULTS.md": {"headline", "verdict", "blanked", "seeds", "simulation", "placebo"},
}


@pytest.fixture(scope="module")
def verdict() -> dict[str, Any]:
    return read_json(ROOT / VERDICT)


@pytest.mark.parametrize("document", DOCUMENTS, ids=str)
def test_the_documents_quote_the_stored_results(document: Path, verdict: dict[str, Any]) -> None:
    text = (ROOT / document).read_text(encoding="utf-8")
    assert set(re.findall(r"<!-- results: (\S+) -->", text)) == QUOTED[str(document)]
    tables = all_tables(verdict, *(read_json(ROOT / path) for path in (SIMULATION, PLACEBO)))
    assert fill(text, tables, document) == text, "run `make results`"


def test_the_metrics_are_those_of_the_quoted_run(verdict: dict[str, Any]) -> None:
    metrics: dict[str, float] = {}
    for path in sorted((ROOT / "metrics").glob("*.json")):
        metrics |= flatten(json.loads(path.read_text(encoding="utf-8")))
    quoted = {name: sides["b_runs"][0] for name, sides in verdict["metrics"].items()}
    # The verdict is rounded.
    assert quoted and {name: metrics[name] for name in quoted} == pytest.approx(quoted, abs=1e-4)


@pytest.mark.slow
def test_the_lock_is_of_this_code_and_these_parameters(tmp_path: Path) -> None:
    """DVC compares every stage's hashes with the tree's; outputs that a clone lacks are not what is asked."""
    clone = Clone(tmp_path, profile=None)
    told = clone.dvc("repro", "--dry", "--allow-missing")
    assert ran(told) == [], "code, parameters or models changed since the headline run: run `make`, commit dvc.lock"
    assert "dvc.lock" in clone.run("git", "ls-files").stdout.split()


@pytest.mark.slow
def test_a_change_of_code_makes_the_lock_stale(tmp_path: Path) -> None:
    clone = Clone(tmp_path, profile=None)
    script = clone.root / "src" / "recap" / "training" / "lora.py"
    script.write_text(script.read_text(encoding="utf-8") + "# changed\n", encoding="utf-8")
    told = clone.dvc("repro", "--dry", "--allow-missing", check=False)
    # The first stage that it would run lacks its input in a clone, so DVC stops there.
    assert "check" in ran(told) or "failed to reproduce 'check'" in told.stderr
