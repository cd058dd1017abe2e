"""The tables that documents quote: the verdict's numbers, what is said where there is none, and marks that pair."""

import pytest
from compared_runs import SEEDS, document

from recap.reporting.results import (
    all_tables,
    blank_table,
    fill,
    headline_table,
    placebo_table,
    seeds_table,
    verdict_table,
)
from recap.runtime.errors import UserError

REASON = "because fewer than 10 images whose score changed"


@pytest.fixture
def verdict():
    return document(seeds=SEEDS)


def cells(table, start):
    line = next(line for line in table.splitlines() if line.startswith(f"| {start}"))
    return [cell.strip() for cell in line.strip("|").split("|")]


def without_blank_pass(verdict):
    for found in verdict["benchmarks"].values():
        found["grounded"] = None
    return verdict


def test_headline(verdict):
    table = headline_table(verdict)
    assert cells(table, "means of 3 seeds a side")[1:3] == ["baseline", "blip2"]
    assert cells(table, "TextVQA, %") == (
        ["TextVQA, %", "41.7", "58.3", "+16.7", "[+3.2, +30.1]", "better", "+17.7 [+4.7, +32.6]"]
    )
    assert cells(table, "GQA, %")[4:] == ["none", "can't tell", "+17.7 none"]
    assert cells(table, "loss, last tenth: pretrain")[1:4] == ["0.77", "0.23", "−0.54"]


def test_what_stands_behind_a_word(verdict):
    table = verdict_table(verdict)
    assert cells(table, "MMBench") == (
        ["MMBench", "12", "11", "−16.67", "[−30.45, −2.89]", "7.4", "0.043", "18.76", "worse"]
    )
    assert cells(table, "GQA")[4:] == ["none", "–", "–", "–", "can't tell"]
    assert f"- TextVQA: {verdict['benchmarks']['textvqa']['settles']}" in table


def test_why_there_is_no_interval_stands_below(verdict):
    for make, lines in (
        (headline_table, [f"- GQA: no interval, {REASON}", f"- GQA, shown − blanked: no interval, {REASON}"]),
        (verdict_table, [f"- GQA: no interval, {REASON}"]),
        (blank_table, [f"- GQA, shown − blanked: no interval, {REASON}"]),
    ):
        assert [line for line in make(verdict).splitlines() if "no interval" in line] == lines
    for found in verdict["benchmarks"].values():
        for part in ("shown", "grounded"):
            found[part] |= {"low": -1.0, "high": 2.0, "no_interval": None}
    assert headline_table(verdict).splitlines()[-1].startswith("| ")


def test_blanked(verdict):
    assert cells(blank_table(verdict), "TextVQA") == (
        ["TextVQA", "41.7", "8.3", "58.3", "7.3", "+17.7", "[+4.7, +32.6]"]
    )


def test_without_a_blank_pass(verdict):
    verdict = without_blank_pass(verdict)
    assert cells(headline_table(verdict), "TextVQA, %")[-2:] == ["better", "–"]
    assert cells(blank_table(verdict), "TextVQA") == ["TextVQA", "41.7", "–", "58.3", "–", "–", "–"]


def test_every_run_has_its_column(verdict):
    verdict["metrics"] |= {
        f"{name}.accuracy": {"a_runs": [40.04, 41.0, 42.0], "b_runs": [50.0, 51.0, 52.0]}
        for name in verdict["benchmarks"]
    }
    table = seeds_table(verdict)
    assert cells(table, "accuracy, %")[3:5] == ["baseline, seed 44", "blip2, seed 42"]
    assert cells(table, "TextVQA") == ["TextVQA", "40.0", "41.0", "42.0", "50.0", "51.0", "52.0"]


def test_only_the_tables_that_a_text_names_are_made(verdict):
    """This verdict lacks what the table of seeds needs, and there is no simulation at all."""
    text = "before\n<!-- results: verdict -->\nold\n<!-- end -->\nafter\n"
    filled = fill(text, all_tables(verdict, {}, {}), "README.md")
    assert filled == f"before\n<!-- results: verdict -->\n{verdict_table(verdict)}\n<!-- end -->\nafter\n"
    assert fill(filled, all_tables(verdict, {}, {}), "README.md") == filled


@pytest.mark.parametrize(
    "text",
    [
        "<!-- results: verdict -->\nno end\n",
        "no opening\n<!-- end -->\n",
        "<!-- results: verdict -->\n<!-- results: blanked -->\n<!-- end -->\n",
        "<!-- results: verdict -->\n<!-- results: blanked -->\n<!-- end -->\n<!-- end -->\n",
        "<!-- results:verdict -->\n<!-- end -->\n",
    ],
)
def test_marks_without_their_like_are_refused(verdict, text):
    with pytest.raises(UserError, match=r"README\.md: expected lines `<!-- results: NAME -->`, each with its"):
        fill(text, all_tables(verdict, {}, {}), "README.md")


def test_a_table_that_does_not_exist_is_refused(verdict):
    with pytest.raises(UserError, match=r"README\.md: expected a results table among headline, .*, found 'verdikt'"):
        fill("<!-- results: verdikt -->\n<!-- end -->\n", all_tables(verdict, {}, {}), "README.md")


def test_placebos_beside_recipes():
    def arm(rows, accuracy, *, placebo):
        return {"placebo": placebo, "runs": [{"seed": 42}], "rows": rows, "val_loss": 0.2, "accuracy": accuracy}

    arms = {
        "baseline": arm(2400, {"textvqa": 50.0, "gqa": 70.0}, placebo=False),
        "shuffled": arm(2306, {"textvqa": 12.34}, placebo=True),
    }
    table = placebo_table({"arms": arms})
    assert cells(table, "recipe") == ["recipe", "seeds", "rows", "loss, held-out", "TextVQA, %", "GQA, %"]
    assert cells(table, "shuffled (placebo)") == ["shuffled (placebo)", "1", "2,306", "0.200", "12.3", "–"]
