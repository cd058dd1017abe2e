"""`make audit`, first half: are the installed packages those of requirements.txt, are any known to be unsafe, and
whose licences are they?

pip-audit (extra `audit`) asks for the advisories, which needs a network. Where it is not installed or reaches no
service, a note says so and the rest is checked all the same: exit code 1 is for what was found, not for what could not
be asked.
"""

import argparse
import json
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Mapping
from importlib.metadata import Distribution, distributions
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

REQUIREMENTS = Path("requirements.txt")
TIMEOUT_S = 600
NO_LICENCE = "not stated"


def pinned(requirements: Path) -> dict[str, str]:
    """Version by canonical name, of the lines `name==version` that are for this platform."""
    lines = re.findall(r"^[A-Za-z0-9][^\s=]*==[^#\\\n]+", requirements.read_text("utf-8"), re.MULTILINE)
    found = [Requirement(line.strip()) for line in lines]
    return {
        canonicalize_name(pin.name): next(iter(pin.specifier)).version
        for pin in found
        if pin.marker is None or pin.marker.evaluate()
    }


def installed() -> dict[str, Distribution]:
    """The packages of this interpreter, by canonical name."""
    return {canonicalize_name(found.metadata["Name"]): found for found in distributions()}


def differences(wanted: Mapping[str, str], found: Mapping[str, Distribution]) -> list[str]:
    """A line for each package that is missing or of another version; a local label ("2.9.1+cpu") is the same one."""
    lines = []
    for name, version in wanted.items():
        if name not in found:
            lines.append(f"{name}: expected {version}, found none")
        elif found[name].version.split("+")[0] != version.split("+")[0]:
            lines.append(f"{name}: expected {version}, found {found[name].version}")
    return lines


def licence(package: Distribution) -> str:
    """The licence that a package states: its expression, else its classifiers, else the first line of its text."""
    metadata = package.metadata
    if expression := metadata.get_all("License-Expression"):
        return str(expression[0])
    classifiers = [line for line in metadata.get_all("Classifier") or [] if line.startswith("License ::")]
    names = [line.rsplit(" :: ", 1)[1] for line in classifiers if line != "License :: OSI Approved"]
    text = (metadata.get_all("License") or [""])[0].strip().splitlines()
    return ", ".join(names) or (text[0][:60] if text else NO_LICENCE)


def advisories(requirements: Path) -> tuple[list[str], int]:
    """A line for each known vulnerability, and how many packages the service knew; 0 where none could be asked."""
    command = [sys.executable, "-m", "pip_audit", "--requirement", str(requirements), "--no-deps", "--disable-pip"]
    command += ["--progress-spinner", "off", "--format", "json"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S)
        packages = json.loads(done.stdout)["dependencies"]
    except (subprocess.TimeoutExpired, json.JSONDecodeError):
        return [], 0
    # A mirror that serves packages and no advisories has every package left out.
    known = [package for package in packages if "skip_reason" not in package]
    lines = [
        f"{package['name']} {package['version']}: {found['id']}, mended in {', '.join(found['fix_versions']) or 'none'}"
        for package in known
        for found in package["vulns"]
    ]
    return lines, len(known)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requirements", type=Path, default=REQUIREMENTS)
    parser.add_argument("--offline", action="store_true", help="ask no advisory service")
    args = parser.parse_args()
    wanted, found = pinned(args.requirements), installed()

    by_licence = defaultdict(list)
    for name in sorted(wanted.keys() & found.keys()):
        by_licence[licence(found[name])].append(name)
    print(f"licences of the {len(wanted)} packages of {args.requirements}:")
    for stated, names in sorted(by_licence.items(), key=lambda item: (-len(item[1]), item[0])):
        print(f"  {stated} ({len(names)}): {', '.join(names)}")

    wrong = differences(wanted, found)
    more = len(found.keys() - wanted.keys())
    print(f"installed: {len(wrong)} of {len(wanted)} differ from {args.requirements}; {more} more are installed")
    unsafe, asked = ([], 0) if args.offline else advisories(args.requirements)
    if asked:
        print(f"advisories: {len(unsafe)} of the {asked} packages that the service knows, of {len(wanted)}")
    else:
        why = "--offline" if args.offline else "pip-audit (extra audit) is not installed or reached no service"
        print(f"note: no advisory is known: {why}")
    for line in [*wrong, *unsafe]:
        print(f"error: {line}", file=sys.stderr)
    sys.exit(1 if wrong or unsafe else 0)


if __name__ == "__main__":
    main()
