"""`make remote`: what goes into .dvc/config, and what is refused before it does."""

from pathlib import Path

import pytest

from recap.experiments.sharing.urls import public_url, service_of
from recap.runtime.errors import UserError
from tests.experiments.stub_project import Project
from tests.remotes.small import make_remote


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project.create(tmp_path)


def test_a_folder_becomes_the_default_and_what_comes_is_checked(project: Project, tmp_path: Path) -> None:
    done = make_remote(project, "../store")
    config = project.read(".dvc/config")
    assert f"url = {tmp_path}/store" in config and "remote = store" in config and "verify = True" in config
    assert "autostage = false" in config  # what stood there stays
    assert 'git commit -m "Where artifacts lie" .dvc/config' in done.stdout and "make share" in done.stdout


def test_what_others_set_stays_while_the_url_does(project: Project, tmp_path: Path) -> None:
    for _ in range(2):
        make_remote(project, str(tmp_path))
        project.run("dvc", "remote", "modify", "store", "jobs", "1")
    assert make_remote(project, str(tmp_path)) and "jobs = 1" in project.read(".dvc/config")
    make_remote(project, "../other")
    assert "jobs" not in project.read(".dvc/config")


def test_an_endpoint_is_a_url(project: Project) -> None:
    done = make_remote(project, "s3://bucket/store", "--endpoint-url", "localhost:9000", check=False)
    assert done.returncode == 1 and "localhost:9000: expected a URL with http:// or https://" in done.stderr


def test_a_web_server_is_read_only_and_says_so(project: Project) -> None:
    assert "is read-only" in make_remote(project, "https://example.invalid/store").stdout


@pytest.mark.parametrize(
    "url",
    [
        "ssh://me:hunter2@host/store",  # pragma: allowlist secret
        "https://hunter2@host/store",
        "s3://hunter2:x@bucket/store",
        "azure://container/store?sig=hunter2",
        "https://host/store#hunter2",
    ],
)
def test_a_secret_is_refused_and_not_repeated(project: Project, url: str) -> None:
    before = project.read(".dvc/config")
    done = make_remote(project, url, check=False)
    assert done.returncode == 1 and done.stderr.count("\n") == 1 and "dvc remote modify --local" in done.stderr
    assert "hunter2" not in done.stdout + done.stderr
    assert project.read(".dvc/config") == before


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recap.experiments.sharing.urls.find_spec", lambda name: None)
    with pytest.raises(UserError, match="pip install dvc-gs"):
        service_of("gs://bucket/store")


def test_an_unknown_scheme_is_refused() -> None:
    with pytest.raises(UserError, match="expected a folder or one of ssh://"):
        service_of("ftp://host/store")


def test_urls_are_shown_public_url() -> None:
    assert public_url("ssh://me:pw@host:22/a") == "ssh://me:***@host:22/a"  # pragma: allowlist secret
    assert public_url("https://token@host/a?key=1") == "https://***@host/a?***"
    assert public_url("/a/b@c:d") == "/a/b@c:d"


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("me:hunter2@host:/store", "host:/store: expected a folder or a URL"),  # pragma: allowlist secret
        ("s3:/bucket/store", "expected a folder or a URL"),
        ("store", "expected a folder outside the project"),
        ("params.yaml", "expected a folder, found a file"),
    ],
)
def test_what_is_neither_a_folder_nor_a_url_is_refused(project: Project, url: str, told: str) -> None:
    done = make_remote(project, url, check=False)
    assert done.returncode == 1 and told in done.stderr and "hunter2" not in done.stderr
