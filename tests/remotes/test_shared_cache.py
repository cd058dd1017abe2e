"""A cache that two users of a machine share, and one whose files are hard links: neither is ever written into."""

import os
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clones import Clone
from tests.experiments.stub_project import Project

pytestmark = pytest.mark.slow

GROUP = 30_000


class Member(Project):
    """A project that belongs to a user of a group, and to nobody else."""

    def __init__(self, root: Path, uid: int) -> None:
        super().__init__(root)
        self.uid = uid
        self.env |= {"USER": f"user{uid}", "DVC_SITE_CACHE_DIR": str(root.parent / "site")}

    def run(self, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        # Whoever runs the tests as root may keep the interpreter where nobody else can read it.
        identity = ("setpriv", f"--reuid={self.uid}", f"--regid={GROUP}", "--clear-groups")
        reading = ("--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search")
        done = subprocess.run(
            [*identity, *reading, *command], cwd=self.root, env=self.env, capture_output=True, text=True, check=False,
            umask=0o002,
        )  # fmt: skip
        assert not check or done.returncode == 0, f"{' '.join(command)}:\n{done.stdout}\n{done.stderr}"
        return done


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder of the group that anybody may enter; those of pytest are their owner's alone."""
    with tempfile.TemporaryDirectory() as folder:
        if os.geteuid() == 0:
            os.chown(folder, 0, GROUP)
        Path(folder).chmod(0o2775)
        yield Path(folder)


@pytest.fixture
def members(place: Path) -> tuple[Member, Member]:
    """Two users whose clones name one cache."""
    if os.geteuid() != 0 or shutil.which("setpriv") is None:
        pytest.skip("needs root, and setpriv of util-linux, to be two users")
    cache = place / "cache"
    (place / "start").mkdir()
    start = Project.create(place / "start")
    found = []
    for uid in (30_001, 30_002):
        home = place / f"home{uid}"
        home.mkdir()
        member = Member(start.copy(home).root, uid)
        subprocess.run(["chown", "-R", f"{uid}:{GROUP}", home], check=True)
        # As docs/SHARING.md says; the cache's folder is made by whoever is first.
        links = {"cache.dir": str(cache), "cache.shared": "group", "cache.type": "hardlink,symlink"}
        for option, value in links.items():
            member.run("dvc", "config", "--local", option, value)
        found.append(member)
    return found[0], found[1]


def digests_hold(cache: Path) -> bool:
    """Whether each object of a cache has the bytes that its name tells."""
    objects = [path for path in (cache / "files/md5").glob("??/*") if path.is_file()]
    listed = "\n".join(f"{path.parent.name}{path.name.removesuffix('.dir')}  {path}" for path in objects)
    assert objects
    return subprocess.run(["md5sum", "--check", "--status"], input=listed, text=True, check=False).returncode == 0


def test_two_users_take_over_each_others_runs_and_spoil_none(members: tuple[Member, Member], place: Path) -> None:
    first, second = members
    first.make()
    assert first.trained() == ["baseline 42", "blip2 42"]
    second.make()
    assert second.trained() == []  # the run-cache is in the shared folder too
    second.edit("params.yaml", "seed: 42\n", "seed: 43\n")
    second.run("dvc", "repro")
    first.edit("params.yaml", "seed: 42\n", "seed: 43\n")
    first.run("dvc", "repro")
    assert (second.trained(), first.trained()) == (["blip2 43"], [])

    for member in members:
        weights = member.root / "models/merged/weights"
        # Linux lets nobody make a hard link of another user's file that he may not write: there it is a symbolic one.
        assert weights.is_symlink() == (member is first) and (weights.is_symlink() or weights.stat().st_nlink == 2)
        assert member.run("sh", "-c", f"echo spoilt >> {weights}", check=False).returncode != 0
    objects = list((place / "cache/files/md5").glob("??/*"))
    assert {path.stat().st_uid for path in objects} == {30_001, 30_002}
    assert {stat.S_IMODE(path.stat().st_mode) for path in objects} == {0o444}
    assert digests_hold(place / "cache")


def test_two_users_keep_captions_in_one_store(members: tuple[Member, Member], place: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from recap.runtime.store import Store\n"
        "with Store(Path(sys.argv[1])) as store:\n"
        "    print(sorted(store.get('caption', {}, ['30001', '30002'])))\n"
        "    store.put('caption', {}, {sys.argv[2]: 'a red circle'})"
    )
    store = str(place / "recap-store/store.sqlite")
    said = [each.run("python", "-c", program, store, str(each.uid)).stdout.strip() for each in (*members, members[0])]
    assert said == ["[]", "['30001']", "['30001', '30002']"]


@pytest.mark.skipif("RECAP_HARDLINKS" not in os.environ, reason="minutes: three runs of five stages, RECAP_HARDLINKS=1")
def test_no_stage_writes_into_a_file_that_the_cache_has_too(tmp_path: Path) -> None:
    """With hard links a file that is changed in place would be damaged in the cache."""
    clone = Clone(tmp_path)
    clone.dvc("config", "--local", "cache.type", "hardlink")
    clone.dvc("repro", "explore", "align@blip2")
    linked = [path for path in (clone.root / "data").rglob("*") if path.is_file() and path.stat().st_nlink > 1]
    assert linked and digests_hold(clone.root / ".dvc/cache")
    params = clone.root / "params.yaml"
    before = params.read_text()
    changed = before.replace("  repetition_penalty: 1.0 ", "  repetition_penalty: 1.3 ").replace(
        "  mattr_window: ", "  mattr_window: 1"
    )
    assert changed != before
    for text in (changed, before):
        params.write_text(text)
        clone.dvc("repro", "explore", "align@blip2")
        assert digests_hold(clone.root / ".dvc/cache")
