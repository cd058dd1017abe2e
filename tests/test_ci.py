""".ci/run: what it wants to install, it can do without."""

import os
import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).parent.parent


def test_what_cannot_be_installed_stops_nothing(tmp_path: Path) -> None:
    """As root on a machine without a browser, whose apt-get reaches nobody."""
    programs = {"id": "echo 0", "apt-get": f"echo apt-get $* >> {tmp_path}/told; exit 100", "make": "echo make $*"}
    for name, body in programs.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{body}\n")
        (tmp_path / name).chmod(0o755)
    for name in ("bash", "dirname"):
        (tmp_path / name).symlink_to(str(shutil.which(name)))
    done = subprocess.run(
        [ROOT / ".ci" / "run"], env={"PATH": str(tmp_path)}, stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "make test\n", "")
    told = (tmp_path / "told").read_text().splitlines()
    assert told[:2] == ["apt-get update -qq", "apt-get install -qq -y --no-install-recommends chromium"]
    servers = {"sshd": "openssh-server", "nginx": "nginx"}
    absent = [package for name, package in servers.items() if not os.access(f"/usr/sbin/{name}", os.X_OK)]
    assert [line.split()[-1] for line in told[2:]] == absent
