import hashlib
import json
import logging
import runpy
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from recap.data.benchmarks.registry import WITH_FILES
from recap.data.corpus.images import open_image
from recap.data.corpus.index import INDEX, CorpusIndex
from recap.data.corpus.records import Record, read_conversations, read_corpus
from recap.data.sources.pictures import Terms
from recap.data.sources.preparation import USER_FILES, Targets, prepare, require_apart, user_files
from recap.io import read_jsonl, write_json
from recap.params import read_yaml, validate
from recap.runtime.errors import UserError
from recap.world.settings import WorldSettings


@pytest.fixture(scope="module")
def world(root) -> WorldSettings:
    path = root / "worlds" / "hamlet" / "world.yaml"
    return validate(WorldSettings, read_yaml(path), path)


@pytest.fixture
def targets(tmp_path) -> Targets:
    return Targets(tmp_path / "data/corpus", tmp_path / "data/finetune", tmp_path / "data/benchmarks")


def good(row_id: object) -> dict:
    return {"id": row_id, "text": "a red square", "image": "images/a.jpg"}


def test_photos_are_taken_and_the_rest_is_embedded(shared, world, targets, work) -> None:
    parts = prepare(user_files(shared / "photos"), world, targets, Terms(max_rejected=0.0), work=work)
    assert {name for name, part in parts.items() if part.origin == "user"} == {"corpus", "finetune", "textvqa"}
    assert {name: part.rows for name, part in parts.items() if part.origin == "user"} == {
        "corpus": 20,
        "finetune": 18,
        "textvqa": 18,
    }
    records = read_corpus(targets.corpus / INDEX)
    assert {record.id: record.caption for record in records}["coins"] == "IMG_0042.JPG"
    assert all(open_image(targets.corpus, record.image).width for record in records)
    assert len(read_conversations(targets.finetune / "train.json")) == 18
    questions = json.loads((targets.benchmarks / "textvqa/TextVQA_0.5.1_val.json").read_text())["data"]
    stems = {Path(name).stem for name in CorpusIndex(targets.benchmarks / "textvqa").names}
    assert stems == {question["image_id"] for question in questions}
    assert all((targets.benchmarks / name).is_dir() for name in WITH_FILES)


def test_a_folder_with_only_a_corpus(user, world, targets, work, caplog) -> None:
    user.lines("train.jsonl", [good(1)])
    with caplog.at_level(logging.INFO):
        parts = prepare(user_files(user.path), world, targets, Terms(max_rejected=0.0), work=work)
    assert {name: part.origin for name, part in parts.items()} == {
        name: "user" if name == "corpus" else "embedded" for name in USER_FILES
    }
    assert "finetune: 48 rows from the embedded world, 0 rejected" in caplog.text


def test_a_benchmarks_own_folder_comes_first(user) -> None:
    user.json("textvqa_val.json", {})
    user.json("benchmarks/textvqa/textvqa_val.json", {})
    user.json("benchmarks/gqa/testdev_balanced_questions.json", {})
    assert user_files(user.path) == {
        "textvqa": user.path / "benchmarks/textvqa/textvqa_val.json",
        "gqa": user.path / "benchmarks/gqa/testdev_balanced_questions.json",
    }


def test_a_folder_that_holds_nothing_known(tmp_path) -> None:
    with pytest.raises(UserError, match="expected a folder"):
        user_files(tmp_path / "none")
    with pytest.raises(UserError, match=r"expected a world\.yaml, or at least one of train\.jsonl"):
        user_files(tmp_path)


def test_links_may_lead_from_a_benchmark_into_the_folder_and_no_further(user, world, targets, work) -> None:
    """COCO's pictures serve two benchmarks, and often lie in one place."""
    question = {"question": "is it red?", "answer": "yes", "imageId": "a"}
    user.json("benchmarks/gqa/testdev_balanced_questions.json", {"1": question})
    (user.path / "benchmarks/gqa/images").symlink_to(user.path / "images")
    terms = Terms(max_rejected=0.0, source=user.path)
    assert prepare(user_files(user.path), world, targets, terms, work=work)["gqa"].rows == 1
    assert open_image(targets.benchmarks / "gqa", "images/a.jpg").size == (40, 30)
    (user.path / "images").rename(user.path.parent / "elsewhere")
    (user.path / "images").symlink_to(user.path.parent / "elsewhere")
    with pytest.raises(UserError, match=r"path_leaves_root: 'benchmarks/gqa/images/a\.jpg' is a link out of "):
        prepare(user_files(user.path), world, targets, terms, work=work)


@pytest.mark.parametrize("source", ["data/corpus", "data", ".", "data/benchmarks/gqa/images", "link"])
def test_a_source_that_an_output_would_be_written_over_is_refused(tmp_path, targets, source) -> None:
    (tmp_path / "link").symlink_to(targets.finetune)
    with pytest.raises(UserError, match="expected a source apart from the output"):
        require_apart(tmp_path / source, targets)
    for apart in ("data/mine", "mine", "data/corpus-mine"):
        require_apart(tmp_path / apart, targets)


def test_too_many_rejections_stop_with_counts_and_the_list(user, world, targets, work) -> None:
    rows = [*[good(number) for number in range(18)], {"id": "x"}, b"{"]
    user.lines("train.jsonl", rows)
    parts = prepare(user_files(user.path), world, targets, Terms(max_rejected=10.0), work=work)
    assert parts["corpus"].rejected_percent == 10.0
    with pytest.raises(UserError) as error:
        prepare(user_files(user.path), world, targets, Terms(max_rejected=9.9), work=work)
    message = str(error.value)
    assert "found 2 of 20 rejected (10.0 %: broken_json 1, missing_text 1)" in message
    assert str(targets.corpus / "rejected.jsonl") in message
    assert "\n" not in message
    listed = list(read_jsonl(targets.corpus / "rejected.jsonl"))
    assert [(row["where"], row["id"], row["reason"]) for row in listed] == [
        ("train.jsonl:19", "x", "missing_text"),
        ("train.jsonl:20", None, "broken_json"),
    ]


def test_nothing_left_stops_too(user, world, targets, work) -> None:
    user.lines("train.jsonl", [])
    with pytest.raises(UserError, match="the file is empty"):
        prepare(user_files(user.path), world, targets, Terms(max_rejected=100.0), work=work)
    user.lines("train.jsonl", [good(1)])
    for name, content in (("finetune.json", "[]"), ("finetune.jsonl", ""), ("finetune.jsonl", "\n\n")):
        (user.path / name).write_text(content)
        with pytest.raises(UserError, match=rf"finetune \(.*{name}\): .* the file is empty"):
            prepare(user_files(user.path), world, targets, Terms(max_rejected=100.0), work=work)
        (user.path / name).unlink()
    user.lines("train.jsonl", [b"{"])
    with pytest.raises(UserError, match="1 of 1 rejected"):
        prepare(user_files(user.path), world, targets, Terms(max_rejected=100.0), work=work)


def command(root: Path, folder: Path, source: Path, params: Path | None) -> list[str]:
    outputs = [
        f"--{flag}={folder / path}"
        for flag, path in {
            "corpus": "data/corpus",
            "finetune": "data/finetune",
            "benchmarks": "data/benchmarks",
            "metrics": "metrics/prepare.json",
            "details": "data/details/prepare.json",
            "timing": "data/timings/prepare.json",
        }.items()
    ]
    given = [f"--source={source}", f"--embedded={root / 'worlds/hamlet'}", f"--params={params or root / 'params.yaml'}"]
    return [str(root / "stages/prepare.py"), *given, *outputs]


def run_stage(root: Path, folder: Path, source: Path, params: Path | None = None) -> subprocess.CompletedProcess[str]:
    python = [sys.executable, *command(root, folder, source, params)]
    return subprocess.run(python, capture_output=True, text=True, check=False)


@pytest.fixture
def run_here(root, monkeypatch, caplog) -> Callable[..., None]:
    """Run the stage in this process, which has imported already what it needs; what it logs is caught."""
    caplog.set_level(logging.INFO)

    def run(folder: Path, source: Path, params: Path | None = None) -> None:
        monkeypatch.setattr(sys, "argv", command(root, folder, source, params))
        runpy.run_path(sys.argv[0])["main"]()

    return run


def tree(folder: Path) -> dict[str, str]:
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.parent.name != "timings"]
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.mark.slow
def test_the_stage_twice_gives_the_same_bytes(root, tmp_path, run_here) -> None:
    """In two processes, which hash strings differently."""
    done = run_stage(root, tmp_path / "one", root / "worlds/hamlet")
    assert done.returncode == 0, done.stderr
    run_here(tmp_path / "two", root / "worlds/hamlet")
    assert tree(tmp_path / "one") == tree(tmp_path / "two")
    assert json.loads((tmp_path / "one/metrics/prepare.json").read_text()) == {"prepare": {"corpus": {"rejected": 0}}}
    details = json.loads((tmp_path / "one/data/details/prepare.json").read_text())["prepare"]
    assert set(details["sources"].values()) == {"embedded"}
    assert details["corpus"] == {"rows": 64, "rejected_percent": 0.0}
    assert (tmp_path / "one/data/timings/prepare.json").is_file()


def test_the_stage_counts_reasons_and_stops_in_one_line(root, tmp_path, user, run_here, caplog) -> None:
    user.lines("train.jsonl", [*[good(number) for number in range(39)], good(0)])
    run_here(tmp_path, user.path)
    assert f"{user.path} holds corpus; " in caplog.text
    assert json.loads((tmp_path / "metrics/prepare.json").read_text()) == {"prepare": {"corpus": {"rejected": 1}}}
    details = json.loads((tmp_path / "data/details/prepare.json").read_text())["prepare"]
    assert details["corpus"] == {"rows": 39, "rejected_percent": 2.5, "reasons": {"duplicate_id": 1}}

    user.lines("train.jsonl", [good(0), good(0)])
    done = run_stage(root, tmp_path, user.path)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert done.stderr.rstrip().splitlines()[-1].startswith("error: corpus (")


def test_the_stage_refuses_a_benchmark_that_does_not_exist(root, tmp_path) -> None:
    params = (root / "params.yaml").read_text().replace("  gqa: gqa\n", "  gqa: gqa\n  vizwiz: vizwiz\n")
    (tmp_path / "params.yaml").write_text(params)
    done = run_stage(root, tmp_path, root / "worlds/hamlet", params=tmp_path / "params.yaml")
    assert done.returncode == 1 and not (tmp_path / "data").exists()
    assert done.stderr.startswith("error: benchmarks: expected some of textvqa, ")
    assert done.stderr.rstrip().endswith("found 'vizwiz'") and len(done.stderr.splitlines()) == 1


def test_the_stage_refuses_a_folder_that_is_not_there(root, tmp_path) -> None:
    done = run_stage(root, tmp_path, tmp_path / "none")
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert len(done.stderr.splitlines()) == 1


def test_the_stage_reads_a_table_with_columns_of_other_names(root, tmp_path, user, run_here, caplog) -> None:
    (user.path / "train.csv").write_text("nr;said;pic;score\n1;a red square;images/a.jpg;0.5\n")
    params = read_yaml(root / "params.yaml")
    params["data"] |= {"format": "csv", "columns": {"id": "nr", "caption": "said", "image": "pic"}}
    write_json(tmp_path / "params.yaml", params)
    run_here(tmp_path, user.path, tmp_path / "params.yaml")
    assert "corpus: train.csv read as csv: id from nr, caption from said, image from pic\n" in caplog.text
    [record] = read_corpus(tmp_path / "data/corpus/index.parquet")
    assert record == Record("1", "images/a.jpg", "a red square", {"score": "0.5"})
