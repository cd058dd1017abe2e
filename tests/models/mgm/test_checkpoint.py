"""Files of weights that are none."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from recap.io import read_json
from recap.models.mgm.checkpoint import read_weights
from recap.runtime.errors import UserError


@pytest.mark.parametrize("content", [[1, 2], {"model": {"a": torch.zeros(1)}}, {3: torch.zeros(1)}, {"step": 7}])
def test_a_pickle_of_something_else(tmp_path: Path, content: Any) -> None:
    torch.save(content, tmp_path / "pytorch_model.bin")
    with pytest.raises(UserError, match=r"pytorch_model\.bin: expected tensors by name, found"):
        read_weights(tmp_path)


@pytest.mark.parametrize(
    "content",
    [[], {}, {"weight_map": 3}, *({"weight_map": {"a": name}} for name in (3, "../b", "a\nb", "\ud800", "é" * 128))],
)
def test_an_index_of_nothing(tmp_path: Path, content: Any) -> None:
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(content))
    with pytest.raises(UserError, match=r"index\.json: expected a (JSON object|weight_map)"):
        read_weights(tmp_path)


def test_a_file_where_a_folder_should_be(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"file/config\.json: expected a JSON file, found what cannot be read"):
        read_json(tmp_path / "file" / "config.json")
