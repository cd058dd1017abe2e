"""How often faults are injected, the run to compare with, and the table of what happened.

`pytest -m slow -n 0 tests/faults` injects a few faults into single stages. With RECAP_FAULTS=30 in the environment it
kills 30 times in whole runs, spread over all stages, and injects everything else too, which takes a good half hour.
RECAP_FAULTS_SEED draws other moments. The table that docs/RELIABILITY.md quotes is printed at the end.
"""

import os
from collections import Counter
from collections.abc import Callable

import pytest

from tests.clones import Clone

from .project import Note, Undisturbed, run_undisturbed

KILLS = int(os.environ.get("RECAP_FAULTS", "0"))
SEED = int(os.environ.get("RECAP_FAULTS_SEED", "9"))


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "faults_on_demand: runs where RECAP_FAULTS says how often to kill")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.get_closest_marker("faults_on_demand") and not KILLS:
            item.add_marker(pytest.mark.skip(reason="on demand: RECAP_FAULTS=30"))


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    """The smoke run; where faults are few, of one benchmark."""
    clone = Clone(tmp_path_factory.mktemp("undisturbed"))
    if not KILLS:
        path = clone.root / "params.yaml"
        head, rest = path.read_text(encoding="utf-8").split("\nbenchmarks:\n")
        answer = rest[rest.index("\nanswer:\n") :]
        path.write_text(f"{head}\nbenchmarks:\n  textvqa: textvqa\n{answer}", encoding="utf-8")
    return run_undisturbed(clone)


@pytest.fixture
def note(record_property: Callable[[str, object], None]) -> Note:
    """Keeps a row of the table: what was injected, where, what happened."""

    def keep(fault: str, where: str, outcome: str) -> None:
        record_property("fault", (fault, where, outcome))

    return keep


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    rows: Counter[tuple[str, str]] = Counter()
    places: dict[tuple[str, str], list[str]] = {}
    for reports in terminalreporter.stats.values():
        for report in reports:
            if getattr(report, "when", None) != "call":
                continue
            for name, value in report.user_properties:
                if name == "fault":
                    fault, where, outcome = value
                    rows[fault, outcome] += 1
                    places.setdefault((fault, outcome), []).append(where)
    if rows:
        terminalreporter.section("faults")
        terminalreporter.line("| injected | where | times | what happened |")
        terminalreporter.line("|---|---|---:|---|")
        for (fault, outcome), times in rows.items():
            where = ", ".join(dict.fromkeys(places[fault, outcome]))
            terminalreporter.line(f"| {fault} | {where} | {times} | {outcome} |")
