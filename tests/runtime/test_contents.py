import os
from pathlib import Path

import pytest

from recap.runtime import contents
from recap.runtime.contents import folder_digest
from recap.runtime.store import Store

LONG_AGO_NS = 10**18


def write(path: Path, content: bytes, *, date_ns: int = LONG_AGO_NS) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    os.utime(path, ns=(date_ns, date_ns))


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    write(folder / "config.json", b"{}")
    write(folder / "model.safetensors", b"w" * 1000)
    return folder


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files that are read."""
    read, names = contents._digest, []
    monkeypatch.setattr(contents, "_digest", lambda path, progress: names.append(path.name) or read(path, progress))
    return names


def test_every_byte_and_name_counts_and_documents_do_not(tmp_path: Path, model: Path) -> None:
    with Store(tmp_path / "store.sqlite") as store:
        first = folder_digest(model, store)
        for name in ("README.md", ".git/HEAD", ".cache/huggingface/x.lock", "LICENSE", "__pycache__/x.pyc"):
            write(model / name, b"to be read by people")
        assert folder_digest(model, store) == first
        digests = [first]
        write(model / "model.safetensors", b"w" * 999 + b"v", date_ns=LONG_AGO_NS + 1)
        digests.append(folder_digest(model, store))
        (model / "config.json").rename(model / "other.json")
        digests.append(folder_digest(model, store))
        write(model / "merges.txt", b"")
        digests.append(folder_digest(model, store))
        assert len(set(digests)) == 4


def test_a_copy_elsewhere_has_the_same_digest(tmp_path: Path, model: Path) -> None:
    write(tmp_path / "copy" / "config.json", b"{}", date_ns=LONG_AGO_NS + 5)
    (tmp_path / "copy" / "model.safetensors").symlink_to(model / "model.safetensors")
    with Store(tmp_path / "store.sqlite") as store:
        assert folder_digest(tmp_path / "copy", store) == folder_digest(model, store)


def test_files_are_read_once_until_they_change(tmp_path: Path, model: Path, reads: list[str]) -> None:
    with Store(tmp_path / "store.sqlite") as store:
        first = folder_digest(model, store)
        assert sorted(reads) == ["config.json", "model.safetensors"]
    with Store(tmp_path / "store.sqlite") as store:
        assert folder_digest(model, store) == first
        assert len(reads) == 2
        # Same size, another date.
        write(model / "config.json", b"[]", date_ns=LONG_AGO_NS + 1)
        assert folder_digest(model, store) != first
        assert reads[2:] == ["config.json"]
        # Same size and date, another file in its place.
        write(model / "new", b"()", date_ns=LONG_AGO_NS + 1)
        os.replace(model / "new", model / "config.json")
        folder_digest(model, store)
        assert reads[3:] == ["config.json"]


def test_a_file_that_was_written_just_now_is_not_remembered(
    tmp_path: Path, model: Path, reads: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contents, "SETTLED_NS", 3600 * 10**9)
    (model / "config.json").write_bytes(b"{ }")
    with Store(tmp_path / "store.sqlite") as store:
        folder_digest(model, store)
        folder_digest(model, store)
    assert sorted(reads) == ["config.json", "config.json", "model.safetensors"]


def test_no_folder_is_an_error(tmp_path: Path) -> None:
    with Store(tmp_path / "store.sqlite") as store, pytest.raises(FileNotFoundError):
        folder_digest(tmp_path / "none", store)
