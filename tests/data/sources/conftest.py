"""A user's folder, built from nothing: two sound images and a writer for each kind of file."""

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image


class UserFolder:
    """A folder with `images/a.jpg` and `images/b.png`, and short ways to add files."""

    def __init__(self, path: Path) -> None:
        self.path = path
        (path / "images").mkdir(parents=True)
        Image.new("RGB", (40, 30), (200, 30, 40)).save(path / "images" / "a.jpg")
        Image.new("L", (30, 40), 90).save(path / "images" / "b.png")

    def lines(self, name: str, rows: list[Any]) -> Path:
        """Write JSON Lines; a row given as bytes is written as it is."""
        lines = [row if isinstance(row, bytes) else json.dumps(row).encode() for row in rows]
        (self.path / name).write_bytes(b"\n".join(lines) + b"\n")
        return self.path / name

    def json(self, name: str, value: Any) -> Path:
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(value), encoding="utf-8")
        return path


@pytest.fixture
def user(tmp_path) -> UserFolder:
    return UserFolder(tmp_path / "user")


@pytest.fixture
def work(tmp_path) -> Path:
    """A scratch folder."""
    folder = tmp_path / "work"
    folder.mkdir()
    return folder
