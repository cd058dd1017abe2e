"""`make audit` finds what was planted, and says plainly what it could not ask."""

import json
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# In two pieces, or this file itself would hold a secret.
PLANTED = "AWS_KEY = 'AKIA" + "QYLPMN5HFIQR7XYA'\n"


def call(script: str, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "audit" / script), *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment or None)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    (tmp_path / "lock.yaml").write_text(f"md5: {'0123456789abcdef' * 2}\nrevision: {'f00dcafe' * 5}\n")
    return tmp_path


def test_a_planted_key_is_found_and_not_repeated(repository: Path) -> None:
    pytest.importorskip("detect_secrets", reason="the extra audit is not installed")
    (repository / "untracked.py").write_text(PLANTED)
    subprocess.run(["git", "-C", str(repository), "add", "lock.yaml"], check=True)
    done = call("secret_scan.py", str(repository))
    assert (done.returncode, done.stdout) == (0, "secrets: 0 in 1 tracked files\n")
    (repository / "settings.py").write_text("x = 1\n" + PLANTED)
    subprocess.run(["git", "-C", str(repository), "add", "settings.py"], check=True)
    done = call("secret_scan.py", str(repository))
    assert done.returncode == 1
    assert f"error: {repository}/settings.py:2: AWS Access Key\n" in done.stderr
    assert "AKIA" not in done.stdout + done.stderr


def test_installed_packages_are_held_against_the_pins(tmp_path: Path) -> None:
    pins = tmp_path / "requirements.txt"
    pins.write_text(
        f"# pinned\nnumpy=={version('numpy')}\nPillow==0.0.1\nno-such-package==1.0  # comment\n"
        "elsewhere==1.0 ; sys_platform == 'nowhere'\n"
    )
    done = call("dependencies.py", "--offline", "--requirements", str(pins))
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        f"error: pillow: expected 0.0.1, found {version('pillow')}",
        "error: no-such-package: expected 1.0, found none",
    ]
    assert "note: no advisory is known: --offline" in done.stdout
    assert "numpy" in done.stdout.split("installed:")[0]


@pytest.mark.parametrize(
    ("answer", "code", "told"),
    [
        ("", 0, "note: no advisory is known: pip-audit"),
        ([{"name": "numpy", "skip_reason": "not found"}], 0, "note: no advisory is known: pip-audit"),
        ([{"name": "numpy", "version": "1", "vulns": []}], 0, "advisories: 0 of the 1 packages"),
        (
            [{"name": "numpy", "version": "1", "vulns": [{"id": "PYSEC-1", "fix_versions": ["2"]}]}],
            1,
            "error: numpy 1: PYSEC-1, mended in 2",
        ),
    ],
)
def test_what_the_advisory_service_answers(answer: list[dict], code: int, told: str, tmp_path: Path) -> None:
    """In pip-audit's place stands a module that answers; no network is asked."""
    pins = tmp_path / "requirements.txt"
    pins.write_text(f"numpy=={version('numpy')}\n")
    said = json.dumps({"dependencies": answer}) if answer else ""
    (tmp_path / "pip_audit.py").write_text(f"print({said!r})\n")
    done = call("dependencies.py", "--requirements", str(pins), PYTHONPATH=str(tmp_path))
    assert done.returncode == code
    assert told in done.stdout + done.stderr
