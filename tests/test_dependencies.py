"""docs/DEPENDENCIES.md has a row for each direct dependency, and the lock pins them for both Pythons."""

import re
import tomllib
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
DOCUMENT = (ROOT / "docs" / "DEPENDENCIES.md").read_text(encoding="utf-8")
LOCK = [
    Requirement(line)
    for line in (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    if line and not line.startswith("#")
]
# Extras whose packages no test can try; see docs/DEPENDENCIES.md.
NOT_LOCKED = ("gs", "azure", "audit")
# What packages write where others write an SPDX identifier's beginning.
SPELT_OUT = {"PSF": "python software foundation"}


def direct() -> dict[str, str]:
    """Extra, empty for none, by package; an extra that only names others is left out."""
    found = {Requirement(line).name: "" for line in PROJECT["dependencies"]}
    for extra, lines in PROJECT["optional-dependencies"].items():
        found |= {name: extra for line in lines if (name := Requirement(line).name) != PROJECT["name"]}
    return found


def rows() -> dict[str, list[str]]:
    """Cells by package, of both tables; a run's dependencies get an empty extra."""
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in DOCUMENT.splitlines() if line[:1] == "|"]
    found = [row if len(row) == 5 else [row[0], "", *row[1:]] for row in cells if row[0] not in ("package", "---")]
    assert len({row[0] for row in found}) == len(found)
    return {row[0]: row[1:] for row in found}


def test_every_direct_dependency_has_its_row_and_no_row_is_stale() -> None:
    assert {package: row[0] for package, row in rows().items()} == direct()
    assert all(all(row[1:]) for row in rows().values())


@pytest.mark.parametrize("package", direct())
def test_a_licence_is_what_the_package_says(package: str) -> None:
    try:
        says = metadata(package)
    except PackageNotFoundError:
        assert direct()[package] in NOT_LOCKED
        return
    told = " ".join([says["License-Expression"] or "", says["License"] or "", *(says.get_all("Classifier") or [])])
    family = rows()[package][1].split("-")[0]
    assert re.search(rf"\b{SPELT_OUT.get(family, family)}\b", told, re.IGNORECASE), told[:200]


@pytest.mark.parametrize("python", ["3.11.0", "3.11.9", "3.12.4"])
@pytest.mark.parametrize("system", ["linux", "darwin"])
def test_the_lock_has_one_version_of_everything(python: str, system: str) -> None:
    environment = dict(default_environment()) | {
        "python_full_version": python, "python_version": python.rsplit(".", 1)[0], "sys_platform": system,
        "platform_machine": "x86_64", "implementation_name": "cpython", "platform_python_implementation": "CPython",
    }  # fmt: skip
    pinned = [canonicalize_name(line.name) for line in LOCK if not line.marker or line.marker.evaluate(environment)]
    assert len(pinned) == len(set(pinned))
    wanted = {canonicalize_name(name) for name, extra in direct().items() if extra not in NOT_LOCKED}
    assert wanted <= set(pinned)


def test_the_lock_pins_exactly_and_brings_no_cuda() -> None:
    assert all(re.fullmatch(r"==[\w.]+", str(line.specifier)) and not line.url for line in LOCK)
    # nvidia-ml-py is Python alone, and DeepSpeed's.
    assert not [line.name for line in LOCK if re.match(r"(nvidia-(?!ml-py)|cuda-|triton)", line.name)]


def test_every_extra_can_be_chosen_by_itself() -> None:
    extras = PROJECT["optional-dependencies"]
    assert {"s3", "ssh", "gs", "azure", "remotes", "deepspeed", "ray", "dev"} <= set(extras)
    [together] = [Requirement(line) for line in extras["remotes"]]
    assert (together.name, together.extras) == (PROJECT["name"], {"s3", "ssh"})
