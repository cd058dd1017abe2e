"""Pushes and pulls whose line is cut after a random number of bytes, over real servers: the next try finishes them.

Two by default, one over SSH and one over S3; `RECAP_CUTS=20 pytest -m slow -n 0 -s tests/remotes/test_cuts.py` tries
twenty of each and prints what each came to.
"""

import os
import random
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from tests.experiments.stub_project import Project
from tests.remotes.servers import SERVERS, Served, Wire
from tests.remotes.small import PULL, SHARE, cached, error_of, log_in, stranger_of
from tests.remotes.stored import stored

pytestmark = pytest.mark.slow

CUTS = int(os.environ.get("RECAP_CUTS", "2"))
KINDS = ("ssh", "s3")
# Bytes until the line is cut are drawn below one of two limits: all that is transferred, or what comes before, which is
# the login and the run-cache's notes.
BEGINNING = 20_000


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, tuple[Served, Wire]]]:
    with ExitStack() as stack:
        found = {}
        for kind in KINDS[:CUTS]:
            served = stack.enter_context(SERVERS[kind](tmp_path_factory.mktemp(kind) / "remote"))
            assert served.port is not None
            wire = Wire(served.port)
            stack.callback(wire.cut)
            found[kind] = (served, wire)
        yield found


@pytest.mark.parametrize("cut", range(CUTS))
def test_the_next_try_finishes(
    cut: int, servers: dict[str, tuple[Served, Wire]], author: Project, tmp_path: Path
) -> None:
    kind = KINDS[cut % len(KINDS)]
    served, wire = servers[kind]
    draw = random.Random(cut)
    whole = cached(author)
    size = sum(map(len, whole.values()))

    def tried(user: Project, *command: str) -> str:
        """Run a command whose line is cut, then again; how the first one ended."""
        began = time.monotonic()
        allowed = draw.randrange(BEGINNING if cut // len(KINDS) % 2 else size)
        wire.cut()
        wire.mend(allowed)
        line = error_of(user.run(*command, check=False))
        cut_s = time.monotonic() - began
        assert "it cannot be reached, or the line broke" in line
        wire.mend()
        user.run(*command)
        return f"cut after {allowed:>9,} of {size:,} bytes, {cut_s:.0f} s: {line}"

    log_in(author, behind(wire, served, f"cut-{cut}"))
    pushed = tried(author, *SHARE)
    there = stored(served, f"cut-{cut}").all()
    assert there.items() <= {name.replace("/", ""): content for name, content in whole.items()}.items()

    stranger = stranger_of(author, tmp_path / "stranger", behind(wire, served, f"cut-{cut}"))
    pulled = tried(stranger, *PULL)
    here = cached(stranger)
    assert here.items() <= whole.items()
    assert "up to date" in stranger.run("dvc", "repro").stdout
    assert stranger.read("models/merged/large") == author.read("models/merged/large")
    print(f"\n{kind}: push {pushed}\n{kind}: pull {pulled}")


def behind(wire: Wire, served: Served, folder: str) -> Served:
    """A remote of its own on the server, to which nothing was pushed, reached through the wire."""
    local = {option: value.replace(f":{served.port}", f":{wire.port}") for option, value in served.local.items()}
    return replace(served, url=f"{served.url.replace(f':{served.port}', f':{wire.port}')}/{folder}", local=local)
