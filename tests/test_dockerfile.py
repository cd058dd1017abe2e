"""The Dockerfile and .dockerignore, read: nothing here can build an image. By hand: `hadolint Dockerfile`."""

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
LINES = (ROOT / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ").splitlines()
COMMENT = " ".join(line.removeprefix("#").strip() for line in LINES if line.startswith("#"))
INSTRUCTIONS = [line.split(maxsplit=1) for line in LINES if line and not line.startswith("#")]
IGNORED = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()


def arguments(instruction: str) -> list[str]:
    return [words for name, words in INSTRUCTIONS if name == instruction]


def test_it_says_that_it_was_not_built() -> None:
    assert "Linted with hadolint, not built" in COMMENT


def test_the_last_stage_runs_as_a_user_without_rights() -> None:
    last = [name for name, _ in INSTRUCTIONS]
    assert arguments("USER") == ["1000"] and "--uid 1000 recap" in " ".join(arguments("RUN"))
    assert last.index("USER") > len(last) - last[::-1].index("FROM")


def test_cpu_is_the_default_and_cuda_an_argument_that_is_documented() -> None:
    [index] = [words for words in arguments("ARG") if words.startswith("TORCH_INDEX")]
    assert index.endswith("/cpu") and "--build-arg TORCH_INDEX=" in COMMENT
    # The lock names a version without a build, so the index decides.
    assert re.search(r"^torch==[\d.]+$", (ROOT / "requirements.txt").read_text(encoding="utf-8"), re.MULTILINE)


def test_no_secret_is_built_in() -> None:
    for words in [*arguments("ARG"), *arguments("ENV")]:
        assert not re.search(r"secret|token|password|key", words, re.IGNORECASE)
    assert {".dvc/config.local", ".env*", "*.pem", "*.key"} <= set(IGNORED)


def test_what_git_ignores_stays_out_of_the_image() -> None:
    ignored = {
        line.strip("/")
        for line in (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()
        if line and not line.startswith(("#", "!"))
    }
    patterns = {line.removeprefix("**/").strip("/") for line in IGNORED}
    # Python compiles anew what lies in its cache; everything else that Git ignores is named.
    assert ignored - patterns <= {"*.pyc"}
