"""What a benchmark brings with it, and what the parameter `benchmarks` may say."""

import subprocess
import sys

import pytest

from recap.data.benchmarks.registry import BENCHMARKS, WITH_FILES, check_chosen
from recap.params import load_all
from recap.runtime.errors import UserError


def test_names_and_titles_are_unique() -> None:
    assert [benchmark.name for benchmark in BENCHMARKS.values()] == list(BENCHMARKS)
    assert len({benchmark.title for benchmark in BENCHMARKS.values()}) == len(BENCHMARKS)


def test_every_benchmarks_files_are_written_by_one_that_is_called_like_the_folder() -> None:
    assert {benchmark.folder for benchmark in BENCHMARKS.values()} == set(WITH_FILES)
    assert {name for name in BENCHMARKS if name not in WITH_FILES} == {"textvqa_ocr"}


def test_the_default_run_is_asked_everything_that_has_files_of_its_own(root) -> None:
    chosen = load_all(root / "params.yaml").benchmarks
    check_chosen(chosen)
    assert list(chosen) == list(WITH_FILES)


@pytest.mark.parametrize("profile", ["smoke", "mgm-2b"])
def test_the_profiles_choose_what_exists(root, profile: str) -> None:
    check_chosen(load_all(root / "profiles" / f"{profile}.yaml").benchmarks)


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        ({"textvqa": "textvqa", "vizwiz": "vizwiz"}, "expected some of textvqa, textvqa_ocr, .*, found 'vizwiz'"),
        ({"textvqa_ocr": "textvqa_ocr"}, r"benchmarks\.textvqa_ocr: expected textvqa, .* found 'textvqa_ocr'"),
    ],
)
def test_a_wrong_choice_is_one_clear_line(chosen: dict[str, str], message: str) -> None:
    with pytest.raises(UserError, match=message) as error:
        check_chosen(chosen)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("module", ["recap.world.street", "recap.data.formats.fields", "PIL", "torch"])
def test_asking_needs_nothing_of_what_writes(module: str) -> None:
    code = f"import sys, recap.data.benchmarks.registry; sys.exit({module!r} in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
