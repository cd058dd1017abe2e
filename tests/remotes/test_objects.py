"""What is there and what is not, where libraries say the same of both; and what a failure's line is taken from."""

from types import SimpleNamespace
from typing import Any

import pytest
from aiohttp import ClientConnectionError, ClientResponseError

from recap.experiments.sharing.failures import explain
from recap.experiments.sharing.objects import Object, is_there

OBJECT = Object("d41d8cd98f00b204e9800998ecf8427e", "data/report/index.html", "report", in_git=False)


def store_where(cause: Exception | None) -> Any:
    """A store whose file system says of everything that there is no such file."""

    def info(path: str) -> None:
        raise FileNotFoundError(path) from cause

    return SimpleNamespace(fs=SimpleNamespace(info=info), oid_to_path=lambda oid: f"store/{oid}")


def test_a_file_that_is_not_there() -> None:
    not_found: Any = ClientResponseError(SimpleNamespace(real_url="http://host"), (), status=404)
    for cause in (None, FileNotFoundError("SFTP's"), not_found):
        assert not is_there(store_where(cause), OBJECT)


@pytest.mark.parametrize("status", [None, 403])
def test_what_fails_otherwise_is_no_missing_file(status: int | None) -> None:
    error: Any = ClientConnectionError("refused")
    if status is not None:
        error = ClientResponseError(SimpleNamespace(real_url="http://host"), (), status=status)
    with pytest.raises(type(error)) as raised:
        is_there(store_where(error), OBJECT)
    assert raised.value.__context__ is None


def test_a_draft_that_never_came_to_be_is_no_cause() -> None:
    repo = SimpleNamespace(config={"core": {"remote": "store"}, "remote": {"store": {"url": "ssh://host/store"}}})
    draft = (
        "FileNotFoundError: [Errno 2] No such file or directory: '/c/files/md5/f4/.25g_vy.tmp' -> '/c/files/md5/f4/b9'"
    )
    assert "cannot be reached, or the line broke" in explain(repo, [draft, "SFTPConnectionLost: Connection closed"])
    assert "a file is not there" in explain(repo, [draft])
