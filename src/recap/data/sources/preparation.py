"""Bring together what a run works on: each part from the user's folder if it is there, else from an embedded world.

The parts are the corpus, the finetune set and the five benchmarks; the folders' layout is described in docs/DATA.md.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from recap.data.sources.rejections import Part, require_few_rejections
from recap.data.sources.user_conversations import take_conversations
from recap.data.sources.user_corpus import take_corpus
from recap.data.sources.user_mmbench import take_mmbench
from recap.data.sources.user_questions import take_gqa, take_okvqa, take_textvqa, take_vqav2
from recap.io import atomic_path, write_jsonl
from recap.params import BENCHMARKS
from recap.runtime.errors import UserError
from recap.world.benchmarks import write_benchmark
from recap.world.corpus import write_corpus
from recap.world.finetune import write_finetune
from recap.world.settings import WorldSettings

logger = logging.getLogger(__name__)

WORLD_FILE = "world.yaml"

# Part -> names its file may have in a user's folder.
USER_FILES = {
    "corpus": ("train.jsonl",),
    "finetune": ("finetune.json",),
    "textvqa": ("TextVQA_0.5.1_val.json", "textvqa_val.json"),
    "mmbench": ("mmbench_dev.tsv", "mmbench_dev_20230712.tsv", "mmbench_dev_en_20231003.tsv", "MMBench_DEV_EN.tsv"),
    "vqav2": ("v2_OpenEnded_mscoco_val2014_questions.json",),
    "gqa": ("testdev_balanced_questions.json",),
    "okvqa": ("OpenEnded_mscoco_val2014_questions.json",),
}

TAKERS: dict[str, Callable[[Path, Path], Part]] = {
    "corpus": take_corpus,
    "finetune": take_conversations,
    "textvqa": take_textvqa,
    "mmbench": take_mmbench,
    "vqav2": take_vqav2,
    "gqa": take_gqa,
    "okvqa": take_okvqa,
}


@dataclass(frozen=True)
class Targets:
    """The folders to write: the corpus, the finetune set, and the one that holds a folder per benchmark."""

    corpus: Path
    finetune: Path
    benchmarks: Path

    def folder(self, part: str) -> Path:
        return {"corpus": self.corpus, "finetune": self.finetune}.get(part, self.benchmarks / part)


def user_files(source: Path) -> dict[str, Path]:
    """What a user's folder holds: part -> file.

    A benchmark's file may lie in the folder itself or in `benchmarks/<name>/`, which comes first.

    Raises:
        UserError: The folder is missing, or holds nothing that Recap knows.
    """
    if not source.is_dir():
        raise UserError(
            f"{source}: expected a folder with a {WORLD_FILE} or your own files; docs/DATA.md describes both"
        )
    found: dict[str, Path] = {}
    for part, names in USER_FILES.items():
        folders = (source / "benchmarks" / part, source) if part in BENCHMARKS else (source,)
        for path in (folder / name for folder in folders for name in names):
            if path.is_file():
                found.setdefault(part, path)
    if not found:
        known = ", ".join(name for names in USER_FILES.values() for name in names)
        raise UserError(f"{source}: expected a {WORLD_FILE}, or at least one of {known}; found none of them")
    return found


def prepare(files: dict[str, Path], world: WorldSettings, targets: Targets, *, max_rejected: float) -> dict[str, Part]:
    """Write every part: from the user's file if `files` names one, else from the embedded world.

    Args:
        files: Part -> the user's file; see `user_files`. Empty if everything is embedded.
        world: The embedded world.
        targets: Where the parts go. Each gets a `rejected.jsonl`, also when the stage stops.
        max_rejected: Percent of a part's rows that may be rejected.

    Returns:
        What became of each part.

    Raises:
        UserError: A user's file is unusable as a whole, or too many of its rows are.
    """
    parts = {}
    for name in USER_FILES:
        target = targets.folder(name)
        with atomic_path(target) as draft:
            draft.mkdir()
            part = TAKERS[name](files[name], draft) if name in files else _embedded(name, world, draft)
            listing = [rejection.to_row() for rejection in part.rejections]
            write_jsonl(draft / "rejected.jsonl", listing)
            if part.rejections or not part.rows:
                # Beside the draft too, which is lost if the stage stops here.
                write_jsonl(target / "rejected.jsonl", listing)
            require_few_rejections(part, max_rejected, f"{name} ({files.get(name)})", target / "rejected.jsonl")
        origin = files.get(name, "the embedded world")
        logger.info("%s: %d rows from %s, %d rejected", name, part.rows, origin, len(part.rejections))
        parts[name] = part
    return parts


def _embedded(name: str, world: WorldSettings, folder: Path) -> Part:
    match name:
        case "corpus":
            rows = write_corpus(world, folder)
        case "finetune":
            rows = write_finetune(world, folder)
        case _:
            rows = write_benchmark(name, world, folder)
    return Part("embedded", rows, [])
