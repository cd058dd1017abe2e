"""A comparison's page from a real repository: what lies in Git, in DVC's cache, and what lies nowhere any more."""

import contextlib
import re
import shutil
import sys

import pytest
from compared_runs import document, git
from html_page import Page, part
from PIL import Image

from recap.comparison.compare import compare
from recap.data.formats.samples import Sample
from recap.data.sources.packing import pack
from recap.io import read_jsonl
from recap.reporting.comparison.__main__ import main
from recap.reporting.comparison.checkout import Checkout, copied_files
from recap.reporting.comparison.sides import read_runs
from recap.reporting.comparison.writing import write_page
from recap.reporting.formatting import number
from recap.runtime.errors import UserError

JPEG = b"\xff\xd8"


@pytest.fixture(scope="module")
def of_two_commits(repository):
    commits = {"baseline": git(repository, "rev-parse", "baseline"), "blip2": git(repository, "rev-parse", "main")}
    return document(commits=commits)


@pytest.fixture
def verdict(of_two_commits, repository, monkeypatch):
    monkeypatch.chdir(repository)
    return of_two_commits


@pytest.fixture(scope="module")
def sides(of_two_commits, repository, tmp_path_factory):
    """The runs of both sides, for tests that change no copy of theirs."""
    with contextlib.chdir(repository):
        return read_runs(of_two_commits, tmp_path_factory.mktemp("copies"))


def test_page_of_two_revisions(verdict, tmp_path, repository):
    before = git(repository, "status", "--porcelain")
    path = write_page(verdict, tmp_path / "reports")
    assert path == tmp_path / "reports/baseline..blip2.html"
    html = path.read_text()
    page = Page(html)
    page.check_asks_for_nothing()
    # TextVQA and MMBench: four gained and three lost each, and eight captions; GQA has no pictures.
    assert len(page.all("img")) == 2 * (4 + 3) + 8
    assert "neither in DVC's cache" not in page.words
    provenance = Page(part(html, "section", "provenance")).words
    assert f"blip2, from commit {verdict['a']['runs'][0]['commit']}" in provenance
    assert "src/model.py" in provenance
    assert "recipe baseline → blip2" in provenance
    assert git(repository, "status", "--porcelain") == before


def test_only_the_pictures_that_are_shown_are_copied(verdict, tmp_path):
    _, (blip2,) = read_runs(verdict, tmp_path)
    files = blip2.artifacts.files
    images = sorted((files.benchmarks / "textvqa/train_images").iterdir())
    assert len(images) == 12
    assert not any(image.stat().st_size for image in images)
    assert not (files.corpus / "images").exists()
    assert files.thumbnail(files.benchmarks / "textvqa", "train_images/t3.jpg").startswith("data:image/jpeg;base64,")
    assert [image.name for image in images if image.stat().st_size] == ["t3.jpg"]


class Cached:
    """A revision whose files are at hand."""

    def __init__(self, folder):
        self.folder = folder
        self.opened = []

    def exists(self, path):
        return (self.folder / path).exists()

    def open(self, path, mode):
        self.opened.append(path)
        return (self.folder / path).open(mode)


@pytest.mark.parametrize("images", ["copy", "reference"])
@pytest.mark.parametrize("folder", ["data/corpus", "data/benchmarks/textvqa"])
def test_a_picture_is_read_out_of_its_shard_and_no_other_is_copied(tmp_path, folder, images):
    revision = Cached(tmp_path / "revision")
    given, work = revision.folder / folder, tmp_path / "work"
    for made in (given, work, tmp_path / "source"):
        made.mkdir(parents=True)
    rows = [Sample(str(n), str(n), f"{n}.png", "grey", {}) for n in range(3)]
    for n in range(3):
        Image.new("L", (8 + n, 8), 80 * n).save(tmp_path / "source" / f"{n}.png")
    pack(rows, tmp_path / "source", given, work=work, images=images)
    files = copied_files(Checkout(revision, tmp_path / "copy"))
    copy = files.checkout.root / folder
    assert files.thumbnail(copy, "1.png").startswith("data:image/jpeg;base64,")
    assert files.thumbnail(copy, "4.png") is None
    shard = ["shard-00000.tar"] if images == "copy" else []
    assert sorted(path.name for path in copy.iterdir()) == ["index.parquet", *shard]
    assert revision.opened == [f"{folder}/{name}" for name in ("index.parquet", *shard)]
    for name in shard:
        copied = (copy / name).read_bytes()
        assert copied.strip(b"\0").startswith(b"\x89PNG") and copied.count(b"PNG") == 1


@pytest.mark.parametrize("image", ["../../../params.yaml", "/etc/hostname", "images/no.jpg"])
def test_pictures_outside_their_folder_are_not_read(sides, image):
    _, (blip2,) = sides
    assert blip2.artifacts.files.thumbnail(blip2.artifacts.files.corpus, image) is None
    assert blip2.missing == []


def test_what_is_no_longer_in_the_cache_is_named(verdict, tmp_path, repository, monkeypatch):
    clone = tmp_path / "clone"
    shutil.copytree(repository, clone, symlinks=True)
    shutil.rmtree(clone / "data/corpus")
    monkeypatch.chdir(clone)
    shutil.rmtree(clone / ".dvc/cache")
    html = write_page(verdict, tmp_path).read_text()
    head = Page(html.split("<header>")[1].split("</header>")[0]).words
    for side in ("baseline", "blip2"):
        assert re.search(rf"{side} lacks \d+; to get them, dvc exp apply {side} \(or git checkout {side}\)", head)
    for output in ("data/details/pretrain.json", "data/scores/gqa.jsonl", "data/processed/train.jsonl"):
        assert head.count(f" {output} ") == 2
    assert "data/benchmarks" in head
    assert "as asked 41.67 58.34 +16.67" in Page(html).words
    assert "2,400 rows in, 2,159 out" in Page(html).words
    assert not Page(html).all("img")


def test_missing_pictures_cost_only_themselves(verdict, tmp_path, repository, monkeypatch):
    clone = tmp_path / "clone"
    shutil.copytree(repository, clone, symlinks=True)
    monkeypatch.chdir(clone)
    for file in (clone / ".dvc/cache/files/md5").glob("??/*"):
        if file.read_bytes().startswith(JPEG):
            file.unlink()
    page = Page(write_page(verdict, tmp_path).read_text())
    # MMBench's pictures lie in its table.
    assert len(page.all("img")) == 4 + 3
    assert "then dvc pull data/benchmarks data/corpus" in page.words
    assert page.words.count("no picture") == (4 + 3) * 2 + 8
    assert "✓ blip2 answers" in page.words


def test_copies_are_what_the_revision_holds(sides):
    (baseline,), (blip2,) = sides
    for run, recipe in ((baseline, "baseline"), (blip2, "blip2")):
        rows = run.artifacts.scores["textvqa"]
        assert {row["prediction"].split()[0] for row in rows} == {recipe}
        assert rows == list(read_jsonl(run.artifacts.files.scores / "textvqa.jsonl"))
        assert set(run.artifacts.curves) == {"pretrain", "finetune"}
        assert run.artifacts.metrics["pretrain"]["versions"]["torch"] == "2.9.1"
        assert len(run.artifacts.curves["pretrain"]["loss"]) == 240
    assert baseline.changes is None
    assert blip2.changes.code == ["src/model.py"]


def test_the_command_draws_what_the_comparison_computes(verdict, repository, tmp_path, monkeypatch, capsys):
    """Nothing but the scores is recorded in this repository, so that only --force compares it."""
    flags = ["recap.reporting.comparison", "baseline", "main", "--folder", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", flags)
    with pytest.raises(UserError, match="--force"):
        main()
    monkeypatch.setattr(sys, "argv", [*flags, "--force"])
    main()
    path = tmp_path / "baseline..main.html"
    assert capsys.readouterr().out == f"page: {path}\n"
    computed = compare(["baseline"], ["main"], force=True).document
    assert set(computed["benchmarks"]) == {"textvqa", "mmbench", "gqa"}
    words = Page(path.read_text()).words
    assert "These two are not comparable." in words
    for found in computed["benchmarks"].values():
        assert found["settles"] in words
        assert f"as asked {found['shown']['a']:.2f} {found['shown']['b']:.2f} +16.67" in words.replace(
            f" no interval: {found['shown']['no_interval']}", ""
        )
        assert (found["flips"][0]["gained"], found["flips"][0]["lost"]) == (5, 3)
    for name, values in computed["metrics"].items():
        assert f"{name} {number(values['a'])} {number(values['b'])}" in words
