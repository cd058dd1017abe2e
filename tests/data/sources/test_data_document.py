"""The commands of docs/DATA.md that find what stops DVC do find it."""

import os
import re
import shlex
import subprocess
from pathlib import Path


def test_what_stops_dvc_is_found(root: Path, user) -> None:
    document = (root / "docs/DATA.md").read_text(encoding="utf-8")
    commands = re.findall(r"^find .*my-data.*$", document, re.MULTILINE)
    assert len(commands) == 2
    folder = os.fsencode(user.path)

    def found() -> list[bytes]:
        here = (command.replace("my-data", shlex.quote(str(user.path))) for command in commands)
        done = [subprocess.run(["bash", "-c", command], capture_output=True, check=False) for command in here]
        return sorted(line[len(folder) + 1 :] for run in done for line in run.stdout.splitlines())

    (user.path / "images/link.jpg").symlink_to("a.jpg")
    assert found() == []
    (user.path / "images/gone.jpg").symlink_to("nowhere.jpg")
    os.mkfifo(user.path / "images/pipe")
    (user.path / "images/.dvcignore").touch()
    (Path(os.fsdecode(folder + b"/images/caf\xe9.jpg"))).touch()
    assert found() == [b"images/.dvcignore", b"images/caf\xe9.jpg", b"images/gone.jpg", b"images/pipe"]
