"""`make models` with a hub that is only pretended."""

import logging
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
from huggingface_hub.errors import GatedRepoError, LocalEntryNotFoundError

from recap.models import hub
from recap.params import ModelSource
from recap.runtime.errors import UserError

REVISION = "0" * 40


class PretendedHub:
    """Records what is asked for and writes those files that the patterns let through."""

    def __init__(self, files: list[str], error: Exception | None = None) -> None:
        self.files, self.error = files, error
        self.downloads: list[dict[str, Any]] = []

    def list(self, repo_id: str, *, revision: str) -> list[str]:
        return self.files

    def download(self, repo_id: str, **options: Any) -> str:
        from huggingface_hub.utils import filter_repo_objects

        self.downloads.append({"repo_id": repo_id, **options})
        folder = Path(options["local_dir"])
        (folder / ".cache" / "huggingface").mkdir(parents=True, exist_ok=True)
        wanted = list(
            filter_repo_objects(
                self.files, allow_patterns=options["allow_patterns"], ignore_patterns=options["ignore_patterns"]
            )
        )
        for name in wanted[:1] if self.error else wanted:
            (folder / name).write_text(name)
        if self.error:
            raise self.error
        return str(folder)


@pytest.fixture
def pretend(monkeypatch: pytest.MonkeyPatch) -> Any:
    def install(files: list[str], error: Exception | None = None) -> PretendedHub:
        pretended = PretendedHub(files, error)
        monkeypatch.setattr(hub, "snapshot_download", pretended.download)
        monkeypatch.setattr(hub, "list_repo_files", pretended.list)
        return pretended

    return install


def source(folder: Path, revision: str = REVISION) -> ModelSource:
    return ModelSource(path=str(folder / "model"), hub="org/name", revision=revision)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "model").iterdir() if path.is_file())


def test_safetensors_are_preferred_and_the_revision_is_pinned(tmp_path: Path, pretend: Any) -> None:
    files = ["config.json", "model.safetensors", "pytorch_model.bin", "tokenizer.model", "big.gguf", "onnx/config.json"]
    pretended = pretend(files)
    hub.fetch("captioner", source(tmp_path))
    assert names(tmp_path) == ["config.json", "model.safetensors", "snapshot.json", "tokenizer.model"]
    assert pretended.downloads[0]["repo_id"] == "org/name"
    assert pretended.downloads[0]["revision"] == REVISION


def test_bin_where_there_is_nothing_else(tmp_path: Path, pretend: Any) -> None:
    pretend(["config.json", "pytorch_model.bin", "tf_model.h5", "safe/model.safetensors"])
    hub.fetch("captioner", source(tmp_path))
    assert names(tmp_path) == ["config.json", "pytorch_model.bin", "snapshot.json"]


def test_a_complete_model_is_not_fetched_again(tmp_path: Path, pretend: Any, caplog: pytest.LogCaptureFixture) -> None:
    pretended = pretend(["config.json", "model.safetensors"])
    with caplog.at_level(logging.INFO):
        hub.fetch("captioner", source(tmp_path))
        hub.fetch("captioner", source(tmp_path))
    assert len(pretended.downloads) == 1
    assert len(caplog.messages) == 2
    assert "captioner: org/name at 0000" in caplog.messages[0]
    assert caplog.messages[1].endswith("is there")


@pytest.mark.parametrize("damage", ["revision", "file"])
def test_another_revision_or_a_lost_file_is_fetched(tmp_path: Path, pretend: Any, damage: str) -> None:
    pretended = pretend(["config.json", "model.safetensors"])
    hub.fetch("captioner", source(tmp_path))
    if damage == "file":
        (tmp_path / "model" / "model.safetensors").unlink()
    hub.fetch("captioner", source(tmp_path, "1" * 40 if damage == "revision" else REVISION))
    assert len(pretended.downloads) == 2


def test_an_interrupted_download_goes_on(tmp_path: Path, pretend: Any) -> None:
    pretend(["config.json", "model.safetensors"], httpx.ConnectError("no route to host"))
    with pytest.raises(UserError, match=r"models\.captioner: cannot fetch org/name: no route to host"):
        hub.fetch("captioner", source(tmp_path))
    assert not hub.is_complete(source(tmp_path))
    with pytest.raises(UserError, match="no complete copy; run `make models`"):
        hub.check("captioner", source(tmp_path))
    pretend(["config.json", "model.safetensors"])
    hub.fetch("captioner", source(tmp_path))
    hub.check("captioner", source(tmp_path))


def test_a_copy_of_ones_own_is_left_alone(tmp_path: Path, pretend: Any) -> None:
    pretended = pretend([])
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text("{}")
    hub.fetch("captioner", source(tmp_path))
    assert not pretended.downloads


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (
            GatedRepoError("401", response=httpx.Response(401, request=httpx.Request("GET", "http://h"))),
            "hf auth login",
        ),
        (LocalEntryNotFoundError("cannot find the file on disk"), "cannot fetch org/name: cannot find"),
    ],
)
def test_refusals_are_one_line(tmp_path: Path, pretend: Any, error: Exception, message: str) -> None:
    pretend(["config.json", "model.safetensors"], error)
    with pytest.raises(UserError, match=message) as raised:
        hub.fetch("captioner", source(tmp_path))
    assert "\n" not in str(raised.value)


def test_a_repository_without_weights(tmp_path: Path, pretend: Any) -> None:
    pretend(["config.json"])
    with pytest.raises(UserError, match="found neither"):
        hub.fetch("captioner", source(tmp_path))


def test_a_folder_without_a_hub_id_has_to_be_there(tmp_path: Path) -> None:
    own = ModelSource(path=str(tmp_path / "model"), hub=None, revision=None)
    for act in (hub.fetch, hub.check):
        with pytest.raises(UserError, match="make models"):
            act("captioner", own)


@pytest.mark.parametrize("arguments", [[], ["--check"]])
def test_every_model_of_the_parameter_file(
    tmp_path: Path, pretend: Any, root: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    text = (root / "params.yaml").read_text()
    for name in ("captioner", "aligner", "language_model", "vision_tower", "vision_tower_aux"):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "config.json").write_text("{}")
        text = text.replace(f"models/tiny/{name}\n", f"{folder}\n")
    parameters = tmp_path / "params.yaml"
    parameters.write_text(text)
    pretended = pretend([])
    monkeypatch.setattr(sys, "argv", ["hub", "--params", str(parameters), *arguments])
    hub.main()
    (tmp_path / "vision_tower_aux" / "config.json").unlink()
    with pytest.raises(UserError, match="vision_tower_aux"):
        hub.main()
    assert not pretended.downloads
