"""`make audit`, second half: does a file that Git tracks hold a key, a token or a password?

detect-secrets (extra `audit`) looks, offline, and its findings are held against what here looks like a secret and is
none. Exit code 1 where something is left; where it is not installed, a note and 0.
"""

import re
import subprocess
import sys
from pathlib import Path

# Digests of DVC and commits of Git, and names of published weights: random to look at. Only the detectors that judge
# by that are answered with it; `password = "<a digest>"` is still found.
RANDOM_BY_NATURE = re.compile(r"[0-9a-f]{16}|[0-9a-f]{32}|[0-9a-f]{40}|model_zoo/.*")
ENTROPY_DETECTORS = ("Hex High Entropy String", "Base64 High Entropy String")


def tracked_files(root: Path) -> list[str]:
    listed = subprocess.run(["git", "-C", str(root), "ls-files", "-z"], capture_output=True, text=True, check=True)
    files = (root / name for name in listed.stdout.split("\0") if name)
    return [str(file) for file in files if file.is_file()]


def secrets_in(files: list[str]) -> list[str]:
    """ "path:line: kind of secret" for each finding; the secret itself is not repeated."""
    from detect_secrets import SecretsCollection
    from detect_secrets.settings import default_settings

    found = SecretsCollection()
    with default_settings() as settings:
        # Verification would send what looks like a key to the service that it may be of.
        settings.disable_filters("detect_secrets.filters.common.is_ignored_due_to_verification_policies")
        for file in files:
            found.scan_file(file)
    return [
        f"{file}:{secret.line_number}: {secret.type}"
        for file, secret in found
        if secret.type not in ENTROPY_DETECTORS or not RANDOM_BY_NATURE.fullmatch(secret.secret_value or "")
    ]


def main() -> None:
    root = Path(sys.argv[1] if len(sys.argv) > 1 else ".")
    files = tracked_files(root)
    try:
        found = secrets_in(files)
    except ModuleNotFoundError:
        print('note: no secrets were looked for: detect-secrets is not installed; pip install ".[audit]"')
        return
    print(f"secrets: {len(found)} in {len(files)} tracked files")
    for line in found:
        print(f"error: {line}", file=sys.stderr)
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
