"""A remote that lost or changed what was pushed: a pull names it, keeps none of it, and gets it once it is there."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from recap.experiments.sharing.remote import NAME
from tests.experiments.stub_project import Project
from tests.remotes.servers import SERVERS, Served
from tests.remotes.small import PULL, SHARE, cached, error_of, log_in, stranger_of
from tests.remotes.stored import Stored, output_oid, stored

pytestmark = pytest.mark.slow

REPORT, MERGED = "data/report/index.html", "models/merged"


class Pushed:
    """What the author pushed to a remote, and a stranger who has a login and nothing else."""

    def __init__(self, author: Project, served: Served, folder: Path) -> None:
        log_in(author, served)
        author.run(*SHARE)
        self.author = author
        self.objects = {name.replace("/", ""): content for name, content in cached(author).items()}
        self.remote: Stored = stored(served)
        self.stranger = stranger_of(author, folder, served)
        self.report = output_oid(author, "blip2", REPORT)
        self.list = output_oid(author, "blip2", MERGED)
        listed = json.loads(self.objects[self.list])
        self.large = next(each["md5"] for each in listed if each["relpath"] == "large")

    def refused(self, *flags: str) -> str:
        """The line that a stranger's first pull ends with."""
        for folder in (".dvc/cache", "data", "models"):
            shutil.rmtree(self.stranger.root / folder, ignore_errors=True)
        line = error_of(self.stranger.run(*PULL, *flags, check=False))
        assert not (self.stranger.root / "models").exists()
        return line

    def pulls_all(self) -> None:
        self.stranger.run(*PULL)
        assert self.stranger.read(f"{MERGED}/large").startswith("blip2")
        assert "up to date" in self.stranger.run("dvc", "repro").stdout
        kept = {name.replace("/", ""): content for name, content in cached(self.stranger).items()}
        assert kept.items() <= self.objects.items()


@pytest.fixture
def pushed(request: pytest.FixtureRequest, author: Project, tmp_path: Path) -> Iterator[Pushed]:
    with SERVERS[request.param](tmp_path / "remote") as served:
        yield Pushed(author, served, tmp_path / "stranger")


def flipped(content: bytes) -> bytes:
    """The same size, one bit of another."""
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


@pytest.mark.parametrize("pushed", ["ssh", "s3"], indirect=True)
def test_other_bytes_and_a_file_that_is_gone(pushed: Pushed) -> None:
    pushed.remote.write(pushed.large, flipped(pushed.objects[pushed.large]))
    line = pushed.refused()
    assert f"of blip2, found {MERGED}/large (stage train) corrupted" in line and f"{pushed.large[2:]} there" in line
    # As the line says: it is deleted there, and whoever has the run pushes again. DVC alone would not send it again, as
    # the list of its folder is there.
    pushed.remote.delete(pushed.large)
    assert f"of blip2, found {MERGED}/large (stage train) missing" in pushed.refused()
    pushed.author.run(*SHARE)
    pushed.pulls_all()


@pytest.mark.parametrize("pushed", ["folder"], indirect=True)
def test_every_kind_of_object(pushed: Pushed) -> None:
    # Who set the remote up by hand did not ask DVC to verify what comes.
    pushed.stranger.run("dvc", "remote", "modify", "--local", NAME, "verify", "false")
    report, names = pushed.objects[pushed.report], json.loads(pushed.objects[pushed.list])
    renamed = json.dumps([{**each, "relpath": f"another-{each['relpath']}"} for each in names]).encode()
    for what, oid, content, flags in (
        (f"{REPORT} (stage train) corrupted", pushed.report, report[:10], ["--scores"]),
        (f"{MERGED}/large (stage train) corrupted", pushed.large, flipped(pushed.objects[pushed.large]), []),
        (f"{REPORT} (stage train) missing", pushed.report, None, ["--scores"]),
        (f"{MERGED} (stage train) corrupted", pushed.list, renamed, []),
        (f"{MERGED} (stage train) corrupted", pushed.list, b"", []),
        (f"{MERGED} (stage train) missing", pushed.list, None, []),
    ):
        if content is None:
            pushed.remote.delete(oid)
        else:
            pushed.remote.write(oid, content)
        assert f"of blip2, found {what}" in pushed.refused(*flags)
        pushed.remote.write(oid, pushed.objects[oid])
    pushed.pulls_all()  # without a fresh cache: what was corrupted did not stay in it
