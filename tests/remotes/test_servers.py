"""The servers themselves: which one cannot be had is skipped with its reason, and the web server takes nothing."""

import sys
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from tests.remotes.servers import SERVERS, serving


def test_no_sshd_is_a_reason_to_skip(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("tests.remotes.servers.shutil.which", lambda name, path=None: None)
    with pytest.raises(pytest.skip.Exception, match="no sshd to serve with: apt-get install openssh-server"):
        SERVERS["ssh"](tmp_path).__enter__()


def test_no_s3_is_a_reason_to_skip(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "moto", None)
    with pytest.raises(pytest.skip.Exception, match=r"no S3 to serve: pip install 'moto\[s3\]'"):
        SERVERS["s3"](tmp_path).__enter__()


def test_a_server_that_does_not_start_is_a_reason_to_skip(tmp_path: Path) -> None:
    with pytest.raises(pytest.skip.Exception, match="sh cannot serve here: no such port"):
        serving(["sh", "-c", "echo no such port >&2; exit 1"], 1, tmp_path / "log").__enter__()


@pytest.mark.parametrize("nginx", [True, False], ids=["nginx", "python"])
def test_the_web_server_gives_and_takes_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, nginx: bool) -> None:
    if not nginx:
        monkeypatch.setattr("tests.remotes.servers.shutil.which", lambda name, path=None: None)
    with SERVERS["http"](tmp_path / "web") as served:
        (served.objects / "a").write_text("bytes")
        with urlopen(f"{served.url}/a", timeout=30) as answer:
            assert answer.read() == b"bytes"
        with pytest.raises(HTTPError, match=r"405|501"):
            urlopen(Request(f"{served.url}/b", data=b"x", method="PUT"), timeout=30)
