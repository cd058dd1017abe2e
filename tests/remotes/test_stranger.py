"""What a stranger does with what was shared, over every kind of remote: from a clone to both runs, training nothing.

On a project of one stage; tests/test_experiment.py walks the same path with the whole pipeline.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from tests.experiments.stub_project import Project
from tests.remotes.servers import SERVERS, Served
from tests.remotes.small import PULL, SHARE, error_of, log_in, make_remote, stranger_of

pytestmark = pytest.mark.slow

WEIGHTS = "models/merged/weights"


@dataclass(frozen=True)
class Shared:
    """A project whose author has shared two runs.

    Attributes:
        author: The project.
        kind: Of the remote.
        served: The remote as others reach it.
    """

    author: Project
    kind: str
    served: Served


@pytest.fixture(scope="module", params=list(SERVERS))
def shared_runs(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shared]:
    place = tmp_path_factory.mktemp(request.param)
    with SERVERS[request.param](place / "remote") as served:
        author = Project.create(place)
        author.edit("train.sh", "$2.$(cat code/model.py)", "$2.${#1}")  # the loss is the recipe's, to have a difference
        author.git("init", "-q", "--bare", "-b", "main", str(place / "origin.git"))
        author.git("remote", "add", "origin", str(place / "origin.git"))
        endpoint = served.local.get("endpointurl")
        make_remote(author, served.url, *(["--endpoint-url", endpoint] if endpoint else []))
        author.commit("where artifacts lie")
        author.make()
        # Nobody pushes over HTTP: the author reaches the folder that the web server hands out.
        if request.param == "http":
            assert "found one that is read-only" in error_of(author.run(*SHARE, check=False))
            log_in(author, Served(str(served.objects)))
        else:
            log_in(author, served, address=False)
        author.run(*SHARE)
        yield Shared(author, request.param, served)


def assert_has_both_runs(stranger: Project, author: Project) -> None:
    """The last experiment is in the workspace, nothing is to be trained, and the other one compares with it."""
    assert "up to date" in stranger.run("dvc", "repro").stdout
    diff = stranger.run("dvc", "metrics", "diff", "baseline", "blip2").stdout
    assert diff == author.run("dvc", "metrics", "diff", "baseline", "blip2").stdout
    assert stranger.read(WEIGHTS) == author.read(WEIGHTS)
    assert stranger.trained() == []


def test_make_pull_and_back_to_the_other_run(shared_runs: Shared, tmp_path: Path) -> None:
    stranger = stranger_of(shared_runs.author, tmp_path, shared_runs.served, address=False)
    stranger.run(*PULL)
    assert_has_both_runs(stranger, shared_runs.author)
    assert stranger.read("reports/baseline.html").startswith("<!doctype html> baseline 42")
    stranger.edit("params.yaml", "\nrecipe: blip2", "\nrecipe: baseline")
    stranger.run("dvc", "repro")
    # DVC has no run-cache over HTTP.
    assert stranger.trained() == (["baseline 42"] if shared_runs.kind == "http" else [])


@pytest.mark.parametrize("shared_runs", ["http"], indirect=True)
def test_a_switch_by_make_pull_needs_no_run_cache(shared_runs: Shared, tmp_path: Path) -> None:
    stranger = stranger_of(shared_runs.author, tmp_path, shared_runs.served, address=False)
    stranger.run(*PULL)
    stranger.run(*PULL[:-2], "blip2", "baseline")
    stranger.run("dvc", "repro")
    assert stranger.trained() == [] and stranger.read(WEIGHTS) != shared_runs.author.read(WEIGHTS)


def test_dvc_alone(shared_runs: Shared, tmp_path: Path) -> None:
    stranger = stranger_of(shared_runs.author, tmp_path, shared_runs.served, address=False)
    stranger.run("dvc", "exp", "pull", "origin", "baseline", "blip2")
    stranger.run("dvc", "exp", "apply", "blip2")
    stranger.run("dvc", "pull")
    assert_has_both_runs(stranger, shared_runs.author)


def test_make_pull_scores_leaves_the_weights_where_they_are(shared_runs: Shared, tmp_path: Path) -> None:
    stranger = stranger_of(shared_runs.author, tmp_path, shared_runs.served, address=False)
    stranger.run(*PULL, "--scores")
    assert "loss_final" in stranger.run("dvc", "metrics", "diff", "baseline", "blip2").stdout
    assert stranger.read("reports/blip2.html").startswith("<!doctype html> blip2 42")
    assert not (stranger.root / "models").exists() and stranger.git("status", "--porcelain") == ""


@pytest.mark.parametrize("shared_runs", ["s3"], indirect=True)
@pytest.mark.parametrize(
    ("command", "option", "wrong"),
    [(SHARE, "secret_access_key", "whisper-wrong"), (PULL, "access_key_id", "AKIAWHISPER0WRONG000")],
    ids=["share", "pull"],
)
def test_s3_does_not_know_the_login_or_the_bucket(
    shared_runs: Shared, command: tuple[str, ...], option: str, wrong: str, tmp_path: Path
) -> None:
    served = shared_runs.served
    user = stranger_of(shared_runs.author, tmp_path, served, address=False)
    if command == SHARE:  # it needs something to share
        user.run("dvc", "exp", "pull", "origin", "baseline", "blip2")
    for change, line in (
        ({option: wrong}, "it does not let you in"),
        ({"url": "s3://elsewhere/store"}, "there is no such bucket"),
    ):
        login = {**served.local, **change}
        log_in(user, replace(served, local=login))
        done = user.run(*command, check=False)
        assert line in error_of(done)
        assert login["secret_access_key"] not in done.stdout + done.stderr
        assert login["access_key_id"] not in done.stdout + done.stderr
