"""`python -m recap.comparison` on a real repository: what it prints, and what it refuses."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from dvc.repo import Repo
from markdown_it import MarkdownIt
from runs_repository import commit_edit, commit_run, git

from recap.comparison import __main__ as command
from recap.comparison.compare import compare as compare_revisions
from recap.comparison.revisions import Revision, read_revision
from recap.runtime.errors import UserError
from tests.hostile_text import LINK

BASELINES, BLIP2S = "baseline,baseline-s2,baseline-s3", "blip2,blip2-s2,blip2-s3"


READ = "recap.comparison.compare.read_revision"


@pytest.fixture(scope="module")
def read_once() -> Callable[[str], Revision]:
    """Reads the commit of a branch once: whichever copy of the repository it is read from, it holds the same."""
    known: dict[tuple[str, str], Revision] = {}

    def read(name: str) -> Revision:
        branch = Path(".git/refs/heads", name)
        if not branch.is_file():
            return read_revision(name)
        key = name, branch.read_text()
        if key not in known:
            known[key] = read_revision(name)
        return known[key]

    return read


@pytest.fixture
def compare(runs, read_once, monkeypatch, capsys):
    """Run the command in the repository; return what it prints, or raise its UserError."""
    monkeypatch.setattr(READ, read_once)

    def run(*arguments: str, folder: Path = runs) -> str:
        monkeypatch.chdir(folder)
        monkeypatch.setattr(sys, "argv", ["compare", *arguments])
        command.main()
        return capsys.readouterr().out

    return run


@pytest.fixture
def copy(runs, tmp_path):
    """A copy of the repository that a test may spoil; `blip2` is checked out."""
    return shutil.copytree(runs, tmp_path / "copy", symlinks=True)


@pytest.fixture
def verdict(compare, tmp_path):
    """The command's JSON."""

    def run(*arguments: str, **options: Path) -> dict:
        compare(*arguments, "--json", str(tmp_path / "verdict.json"), **options)
        return json.loads((tmp_path / "verdict.json").read_text())

    return run


def replaced(old, new):
    return lambda text: text.replace(old, new)


def line_of(text: str, start: str) -> str:
    return next(line for line in text.splitlines() if line.strip().startswith(start))


def words(document: dict) -> dict:
    return {name: found["word"] for name, found in document["benchmarks"].items()}


def test_three_seeds_a_side_are_judged(compare):
    text = compare(BASELINES, BLIP2S)
    parts = ["parameter ", "metric ", "Verdict", "Grounded", "Flips", "What would settle it", "blip2 against baseline"]
    assert sorted(parts, key=text.index) == parts
    assert line_of(text, "recipe").split() == ["recipe", "baseline", "blip2"]
    assert line_of(text, "textvqa.accuracy").split()[-1] == "+32.67"
    assert line_of(text, "textvqa  ").endswith("better")
    assert line_of(text, "mmbench  ").endswith("worse")
    assert line_of(text, "gqa  ").endswith("can't tell")
    assert "blip2 against baseline: better: textvqa; worse: mmbench; can't tell: gqa." in text
    assert max(map(len, text.splitlines())) <= 120


def test_columns_say_what_they_hold(compare):
    text = compare(BASELINES, BLIP2S)
    for table in ("metric  ", "benchmark  questions  ", "benchmark  baseline"):
        assert "baseline (3 seeds)" in line_of(text, table)
        assert "blip2 (3 seeds)" in line_of(text, table)
    # 40.5, 41.5 and 42.5 % of A's runs.
    assert line_of(text, "textvqa.accuracy").split()[1] == "41.5"
    assert line_of(text, "textvqa  ").split()[2] == "41.50"


def test_one_seed_a_side_gets_no_word(compare, verdict):
    text = compare("baseline", "blip2")
    assert "blip2's run answers 33.5 points more (textvqa), 28.0 points fewer (mmbench)" in text
    assert "one seed a side: the recipe is not judged." in text.replace("\n  ", " ")
    assert "95 % over questions" in line_of(text, "benchmark  questions  ")
    assert "interval over questions of these two runs" in text
    assert not any(word in text.split() for word in ("p", "detectable", "verdict"))
    found = verdict("baseline", "blip2")
    assert (found["judged"], found["not_judged_because"]) == (False, "one seed a side: the recipe is not judged")
    textvqa = found["benchmarks"]["textvqa"]
    assert [textvqa[name] for name in ("word", "p_holm")] == [None, None]
    assert [textvqa["shown"][name] for name in ("p", "detectable")] == [None, None]
    assert textvqa["shown"]["low"] < 33.5 < textvqa["shown"]["high"]


def test_the_same_recipe_twice_gets_no_word(compare, verdict):
    text = compare("blip2", "blip2-s2")
    assert "blip2-s2's run answers" in text
    assert set(words(verdict("baseline", "baseline-s2")).values()) == {None}


@pytest.mark.parametrize(
    ("a", "b", "because"),
    [
        ("baseline,baseline-s2", "blip2,blip2-s2", "only 2 seeds a side"),
        ("baseline,baseline-s2", BLIP2S, "only 2 and 3 seeds"),
        ("baseline", BLIP2S, "only 1 and 3 seeds"),
    ],
)
def test_fewer_than_three_seeds_are_marked_as_not_enough(compare, verdict, a, b, because):
    assert f"Not judged ({because})" in compare(a, b)
    found = verdict(a, b)
    assert found["not_judged_because"] == f"{because}: the recipe is not judged"
    assert set(words(found).values()) == {None}


def test_more_seeds_on_one_side_are_fine(copy, verdict):
    for seed in (11, 12):
        commit_run(copy, f"more-{seed}", "blip2", seed)
    found = verdict(BASELINES, f"{BLIP2S},more-11,more-12", folder=copy)
    assert found["judged"]
    assert words(found)["textvqa"] == "better"


def test_one_run_relabelled_as_other_seeds_is_refused(compare, copy):
    for seed in (2, 3):
        git(copy, "checkout", "-q", "-B", f"copy-{seed}", "blip2")
        commit_edit(copy, "params.yaml", replaced("seed: 1", f"seed: {seed}"))
    for flags in ([], ["--force"]):
        with pytest.raises(UserError, match=r"seeds 1 and 2 are the same run \(blip2, copy-2\)"):
            compare(BASELINES, "blip2,copy-2,copy-3", *flags, folder=copy)


def test_order_of_a_list_changes_nothing(compare):
    expected = compare(BASELINES, BLIP2S)
    assert compare("baseline-s3,baseline,baseline-s2", "blip2-s2,blip2-s3,blip2") == expected
    assert compare("--a", BASELINES, "--b", "blip2-s3,blip2-s2,blip2") == expected


def test_a_seed_stands_beside_no_seed_of_the_other_side(verdict, copy):
    """Which of B's runs has which seed changes nothing: runs are not paired."""
    expected = verdict(BASELINES, BLIP2S, folder=copy)
    for branch, seed, new in (("blip2", 1, 2), ("blip2-s2", 2, 3), ("blip2-s3", 3, 1)):
        git(copy, "checkout", "-q", branch)
        commit_edit(copy, "params.yaml", lambda text, seed=seed, new=new: text.replace(f"seed: {seed}", f"seed: {new}"))
    assert verdict(BASELINES, BLIP2S, folder=copy)["benchmarks"] == expected["benchmarks"]


def test_tags_commits_and_the_workspace_are_revisions(compare, runs):
    commit = git(runs, "rev-parse", "baseline")
    expected = line_of(compare("baseline", "blip2"), "textvqa  ")
    assert line_of(compare(commit, "headline"), "textvqa  ").split() == expected.split()
    # The workspace is as blip2 committed it.
    assert "mmbench" in compare("baseline", "workspace")


def test_experiment_names_are_revisions(compare, copy):
    base, tried = git(copy, "rev-parse", "main"), git(copy, "rev-parse", "blip2-s2")
    git(copy, "update-ref", f"refs/exps/{base[:2]}/{base[2:]}/bold-try", tried)
    assert line_of(compare("baseline", "bold-try", folder=copy), "B     bold-try").split()[2] == tried[:7]


def test_a_name_that_only_other_commits_have_is_not_guessed(compare, copy):
    for branch in ("baseline", "blip2-s2"):
        base = git(copy, "rev-parse", branch)
        git(copy, "update-ref", f"refs/exps/{base[:2]}/{base[2:]}/bold-try", base)
    with pytest.raises(UserError, match="found several on other commits"):
        compare("baseline", "bold-try", folder=copy)


def test_benchmark_that_one_side_lacks_is_told(compare, copy):
    for name in ("gqa.jsonl", "gqa.jsonl.dvc"):
        (copy / "data/scores" / name).unlink()
    params = copy / "params.yaml"
    params.write_text(params.read_text().replace("  gqa: gqa\n", ""))
    text = compare("baseline", "workspace", folder=copy)
    assert "not compared, because not every revision scored it: gqa." in text
    assert "(textvqa), 28.0 points fewer (mmbench); one seed" in text


def test_verdict_as_json(verdict):
    found = verdict(BASELINES, BLIP2S)
    assert found["a"]["label"] == found["a"]["recipe"] == "baseline"
    assert [run["revision"] for run in found["b"]["runs"]] == BLIP2S.split(",")
    assert [run["seed"] for run in found["b"]["runs"]] == [1, 2, 3]
    assert found["params"] == {"recipe": {"a": "baseline", "b": "blip2"}}
    assert found["metrics"]["textvqa.accuracy"]["a_runs"] == [40.5, 41.5, 42.5]
    assert found["metrics"]["textvqa.accuracy"]["a"] == 41.5
    assert words(found) == {"textvqa": "better", "mmbench": "worse", "gqa": "can't tell"}
    assert (found["judged"], found["not_judged_because"], found["incomparable"]) == (True, None, [])
    shown = found["benchmarks"]["textvqa"]["shown"]
    assert (shown["questions"], shown["images"]) == (200, 100)
    assert shown["low"] < shown["difference"] < shown["high"]
    # Three benchmarks, and this p is not the smallest.
    assert found["benchmarks"]["textvqa"]["p_holm"] == pytest.approx(2 * shown["p"], rel=1e-4)
    gqa = found["benchmarks"]["gqa"]
    assert gqa["shown"]["no_interval"] == "5 images changed, fewer than 10: an interval would be too narrow"
    assert [gqa["p_holm"], *(gqa["shown"][name] for name in ("low", "high", "p", "detectable"))] == [None] * 5


def test_grounded_difference_is_shown_minus_blanked(verdict, copy):
    # 8.5 % of MMBench are answered without the image; here, blip2 answers all of it so.
    commit_edit(copy, "data/scores/mmbench.jsonl", replaced('"blank_score": 0.0', '"blank_score": 1.0'))
    found = verdict("baseline", "blip2", folder=copy)["benchmarks"]["mmbench"]
    assert found["grounded"]["a"] == pytest.approx(found["shown"]["a"] - 8.5)
    assert found["grounded"]["b"] == pytest.approx(found["shown"]["b"] - 100)
    assert found["grounded"]["difference"] == pytest.approx(found["shown"]["difference"] - 91.5)
    assert found["grounded"]["low"] < found["grounded"]["difference"] < found["grounded"]["high"]


def test_no_blank_pass_no_grounded_difference(compare, copy):
    commit_edit(
        copy, "data/scores/mmbench.jsonl", lambda text: text.replace('"blank_score": 0.0', '"blank_score": null')
    )
    text = compare("baseline", "blip2", folder=copy)
    assert "no grounded difference on mmbench: blip2 lacks 183 of 200 blank scores." in text
    assert "mmbench" not in text[text.index("Grounded") : text.index("Flips")]


def test_without_any_blank_pass_there_is_no_grounded_table(compare, verdict, copy):
    for branch in ("baseline", "blip2"):
        git(copy, "checkout", "-q", branch)
        with Repo(str(copy)) as repo:
            repo.checkout(force=True)
        for benchmark in ("textvqa", "mmbench", "gqa"):
            null = partial(re.sub, r'"blank_score": [\d.]+', '"blank_score": null')
            commit_edit(copy, f"data/scores/{benchmark}.jsonl", null)
    for text in (
        compare("baseline", "blip2", "--markdown", "-", folder=copy),
        compare("baseline", "blip2", folder=copy),
    ):
        assert "Grounded" not in text and "grounded differences" not in text
        assert "no grounded difference on textvqa, mmbench, gqa: no run has a blank pass." in text
    found = verdict("baseline", "blip2", folder=copy)["benchmarks"]
    assert [benchmark["grounded"] for benchmark in found.values()] == [None] * 3


def test_grounded_differences_get_nothing_that_a_word_is_taken_from(compare, verdict):
    text = compare(BASELINES, BLIP2S)
    head = line_of(text[text.index("Grounded") :], "benchmark")
    assert head.split("B - A")[1].strip() == "95 % interval"
    assert "grounded differences get no word." in text
    grounded = verdict(BASELINES, BLIP2S)["benchmarks"]["textvqa"]["grounded"]
    assert grounded["low"] < grounded["difference"] < grounded["high"]
    assert (grounded["p"], grounded["detectable"]) == (None, None)


def test_what_intervals_and_words_allow_for(compare):
    text = compare(BASELINES, BLIP2S)
    assert "intervals are 95 % for one benchmark; a word also allows for all 3 of them." in text
    assert "choose it before looking; seeds added after a look make false words more frequent." in text


def test_columns_of_flips(compare):
    text = compare("baseline", "blip2")
    assert "\nFlips, in questions; right: a score of at least 0.5\n" in text
    assert "A wrong, B right  A right, B wrong" in line_of(text, "benchmark  questions of type")
    assert line_of(text, "textvqa    all ").split()[-2:] == ["67", "0"]
    assert "\nFlips, in questions; right: a score of at least 0.5; means over pairs of runs\n" in compare(
        "baseline", BLIP2S
    )


def test_flips_by_type_of_question(verdict):
    flips = verdict("baseline", "blip2")["benchmarks"]["textvqa"]["flips"]
    assert flips == [
        {"group": "all", "type": "all", "questions": 200, "gained": 67.0, "lost": 0.0},
        {"group": "answer_type", "type": "other", "questions": 50, "gained": 15.0, "lost": 0.0},
        {"group": "answer_type", "type": "yes/no", "questions": 150, "gained": 52.0, "lost": 0.0},
    ]


def test_markdown_has_the_same_numbers(compare, tmp_path):
    text = compare(BASELINES, BLIP2S, "--markdown", str(tmp_path / "verdict.md"))
    markdown = (tmp_path / "verdict.md").read_text()
    assert markdown.startswith("### blip2 against baseline\n")
    row = next(line for line in markdown.splitlines() if line.startswith("| textvqa | 200 "))
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert " ".join(cells).split() == line_of(text, "textvqa  ").split()
    assert markdown.count("<details>") == markdown.count("</details>") == 3
    assert compare(BASELINES, BLIP2S, "--markdown", "-") == markdown + "\n"


def test_worse_fails_where_ci_asks_for_it(compare, capsys):
    with pytest.raises(SystemExit) as stopped:
        compare(BASELINES, BLIP2S, "--fail-on", "worse")
    assert stopped.value.code == 3
    assert "worse: mmbench" in capsys.readouterr().out


def test_nothing_fails_where_nothing_is_judged(runs, monkeypatch, capsys):
    monkeypatch.chdir(runs)
    monkeypatch.setattr(sys, "argv", ["compare", "baseline", "blip2", "--fail-on", "worse"])
    assert command.main() is None, "MMBench is 28 points lower, but one seed a side is never worse"
    assert (
        capsys.readouterr().err == "--fail-on worse: one seed a side: the recipe is not judged, so nothing can fail\n"
    )


def test_same_commit_is_said(compare):
    with pytest.raises(UserError, match="blip2 and headline are the same commit"):
        compare("blip2", "headline")


def test_unknown_revision(compare):
    with pytest.raises(UserError, match=r"nonsense: expected an experiment, branch, tag or commit"):
        compare("baseline", "nonsense")


@pytest.mark.parametrize("listed", ["blip2,", ",blip2", "blip2,,blip2-s2"])
def test_lists_with_holes(compare, listed):
    with pytest.raises(UserError, match="expected revisions separated by commas"):
        compare("baseline", listed)


def test_a_side_is_one_recipe(compare):
    with pytest.raises(UserError, match="expected runs of one recipe on one side, found baseline and blip2"):
        compare("baseline,blip2-s2", "blip2,blip2-s3")


def test_a_side_has_no_seed_twice(compare):
    with pytest.raises(UserError, match=r"expected a different seed in every run of one side, found \[1, 1\]"):
        compare("baseline", "blip2,headline")


def test_scores_that_are_not_in_the_cache(compare, copy, monkeypatch):
    monkeypatch.setattr(READ, read_revision)
    shutil.rmtree(copy / ".dvc/cache")
    with pytest.raises(UserError, match=r"baseline: expected data/\S+ in DVC's cache .*dvc fetch"):
        compare("baseline", "blip2", folder=copy)


def test_other_questions_are_not_paired(compare, copy):
    commit_edit(copy, "data/scores/gqa.jsonl", lambda text: text.split("\n", 3)[3].replace('"q199"', '"extra"'))
    with pytest.raises(UserError, match=r"gqa: .* found 4 only in baseline and 1 only in blip2 \(196 shared\)"):
        compare("baseline", "blip2", folder=copy)


def test_other_answers_to_the_same_keys_are_not_paired(compare, copy):
    commit_edit(copy, "data/scores/gqa.jsonl", lambda text: text.replace('["red"]', '["blue"]', 7))
    with pytest.raises(UserError, match=r"gqa: .* found 7 keys whose image, question or answers differ"):
        compare("baseline", "blip2", folder=copy)


@pytest.mark.parametrize(
    ("path", "edit", "told"),
    [
        ("params.yaml", replaced("gqa: gqa", "gqa: other"), "parameter benchmarks.gqa (A: gqa, B: other)"),
        ("dvc.lock", replaced("md5 of models/vision_tower_aux", "x"), "base model vision_tower_aux (A: md5 of models"),
        ("dvc.lock", replaced("md5 of models/captioner", "x"), "captioner (A: md5 of models/captioner, B: x)"),
        ("dvc.lock", replaced("md5 of models/aligner", "x"), "aligner (A: md5 of models/aligner, B: x)"),
        ("dvc.lock", replaced("md5 of data/corpus", "x"), "raw corpus (A: md5 of data/corpus, B: x)"),
        ("dvc.lock", replaced("md5 of data/finetune", "x"), "finetune set (A: md5 of data/finetune, B: x)"),
        (
            "dvc.lock",
            replaced("md5 of data/benchmarks/gqa", "x"),
            "benchmark gqa (A: md5 of data/benchmarks/gqa, B: x)",
        ),
        ("dvc.lock", replaced("finetune:", "other:"), "finetune set (A: md5 of data/finetune, B: not recorded)"),
        ("params.yaml", replaced("r: 16", "r: 8"), "parameter lora.r (A: 16, B: 8)"),
        ("params.yaml", replaced("lora:", "dora:"), "parameter lora.r (A: 16, B: None)"),
        ("data/details/textvqa.json", replaced("f00d", "beef"), "textvqa prompt_fingerprint (A: f00d, B: beef)"),
        ("data/details/gqa.json", replaced("mmf", "llava"), "gqa convention (A: mmf, B: llava)"),
    ],
)
def test_what_is_not_comparable_is_refused_unless_forced(compare, verdict, copy, path, edit, told):
    commit_edit(copy, path, edit)
    with pytest.raises(UserError) as refused:
        compare("baseline", "blip2", folder=copy)
    assert told in str(refused.value)
    assert "--force" in str(refused.value)
    text = compare("baseline", "blip2", "--force", folder=copy)
    assert text.startswith("Not comparable in ")
    assert text.index("not the same") < text.index("textvqa  ")
    found = verdict("baseline", "blip2", "--force", folder=copy)
    assert {"what", "a", "b"} == set(found["incomparable"][0])
    assert told.startswith(found["incomparable"][0]["what"])


def test_every_difference_is_named(compare, copy):
    commit_edit(copy, "params.yaml", replaced("r: 16", "r: 8"))
    commit_edit(copy, "dvc.lock", replaced("md5 of data/finetune", "x"))
    with pytest.raises(UserError, match=r"found 2 difference\(s\) besides: finetune set .*; parameter lora\.r"):
        compare("baseline", "blip2", folder=copy)


def test_runs_of_one_side_are_compared_too(compare, copy):
    git(copy, "checkout", "-q", "blip2-s3")
    commit_edit(copy, "dvc.lock", replaced("md5 of recipes/blip2.yaml", "x"))
    commit_edit(copy, "params.yaml", replaced("r: 16", "r: 8"))
    with pytest.raises(UserError) as refused:
        compare(BASELINES, BLIP2S, folder=copy)
    assert "parameter lora.r (A: 16, B: 16, 8)" in str(refused.value)
    assert "recipe file (A: md5 of recipes/baseline.yaml, B: md5 of recipes/blip2.yaml, x)" in str(refused.value)


def test_a_revision_without_a_lock_is_not_known_to_be_comparable(compare, copy):
    git(copy, "rm", "-q", "dvc.lock")
    git(copy, "commit", "-qm", "no lock")
    with pytest.raises(UserError, match=r"found 11 difference\(s\) .*B: not recorded"):
        compare("baseline", "blip2", folder=copy)


def test_what_neither_side_recorded_is_not_known_to_be_the_same(compare, copy):
    for branch in ("baseline", "blip2"):
        git(copy, "checkout", "-q", branch)
        commit_edit(copy, "dvc.lock", replaced("finetune:", "other:"))
    with pytest.raises(UserError, match=r"finetune set \(A: not recorded, B: not recorded\)"):
        compare("baseline", "blip2", folder=copy)


def test_the_machine_is_free(verdict, copy):
    commit_edit(copy, "params.yaml", replaced("workers: 1", "workers: 8"))
    found = verdict("baseline", "blip2", folder=copy)
    assert (found["incomparable"], list(found["params"])) == ([], ["recipe"])


def test_wiring_only_is_said_first(compare, verdict, copy):
    commit_edit(copy, "data/details/check.json", replaced("false", "true"))
    assert compare("baseline", "blip2", folder=copy).startswith("This only tests the wiring")
    assert (
        compare("baseline", "blip2", "--markdown", "-", folder=copy).splitlines()[2].startswith("> **This only tests")
    )
    assert verdict("baseline", "blip2", folder=copy)["wiring_only"]


def test_code_that_differs_is_told(compare, copy):
    commit_edit(copy, "src/model.py", lambda text: text + "y = 2\n")
    assert "differ too, in 1 file(s): src/model.py" in compare("baseline", "blip2", folder=copy)
    assert "differ too, in 1 file(s): src/model.py" in compare("baseline-s2,baseline", "blip2-s2,blip2", folder=copy)


def test_the_function_behind_the_command(runs, monkeypatch, verdict):
    expected = verdict("baseline,baseline-s2", "blip2")
    monkeypatch.chdir(runs)
    found = compare_revisions(["baseline-s2", "baseline"], ["blip2"])
    assert [run.name for run in found.a.runs] == ["baseline", "baseline-s2"]
    assert found.document == expected


def test_command_starts_without_torch():
    code = "import sys, recap.comparison.__main__; assert not {'torch', 'pandas', 'matplotlib'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_hostile_types_of_questions_are_text_in_markdown(compare, copy):
    hostile = json.dumps(LINK + "|`</details><script>x</script>\n\n# big")[1:-1]
    for branch in ("baseline", "blip2"):
        git(copy, "checkout", "-q", branch)
        with Repo(str(copy)) as repo:
            repo.checkout(force=True)
        commit_edit(copy, "data/scores/textvqa.jsonl", lambda text: text.replace("yes/no", hostile))
    markdown = compare("baseline", "blip2", "--markdown", "-", folder=copy)
    tokens = MarkdownIt("commonmark", {"html": True}).enable("table").parse(markdown)
    html = [token.content.strip() for token in tokens if token.type == "html_block"]
    assert all(block.startswith("<details><summary>") or block == "</details>" for block in html) and len(html) == 6
    inline = [child for token in tokens for child in token.children or []]
    assert {token.type for token in inline}.isdisjoint({"html_inline", "link_open", "image"})
    assert [token.tag for token in tokens if token.type == "heading_open"] == ["h3"]
    assert any("javascript:alert(1)" in token.content for token in inline if token.type == "code_inline")
