"""Bring together what a run works on: each part from the user's folder if it is there, else from an embedded world.

The parts are the corpus, the finetune set and the benchmarks; the folders' layout is described in docs/DATA.md.
"""

import logging
from dataclasses import dataclass, replace
from pathlib import Path

from recap.data.benchmarks.base import Benchmark
from recap.data.benchmarks.gqa import GQA
from recap.data.benchmarks.mmbench import MMBench
from recap.data.benchmarks.registry import WITH_FILES
from recap.data.benchmarks.textvqa import TextVQA
from recap.data.benchmarks.vqav2 import VQA
from recap.data.formats.files import BENCHMARKS_FOLDER
from recap.data.formats.source import open_source
from recap.data.sources.embedded import write_benchmark, write_corpus, write_finetune
from recap.data.sources.pictures import DEFAULT_TERMS, Terms
from recap.data.sources.rejections import Part, require_few_rejections
from recap.data.sources.user_conversations import take_conversations
from recap.data.sources.user_corpus import CORPUS_FILES, OpenCorpus, find_corpus, take_corpus
from recap.data.sources.user_mmbench import take_mmbench
from recap.data.sources.user_questions import take_gqa, take_textvqa, take_vqa
from recap.io import atomic_path, remove_drafts, write_jsonl
from recap.runtime.errors import UserError, hint_on_copies
from recap.world.settings import WorldSettings

logger = logging.getLogger(__name__)

WORLD_FILE = "world.yaml"

# Part -> names its file may have in a user's folder.
USER_FILES = {
    "corpus": CORPUS_FILES,
    "finetune": ("finetune.json", "finetune.jsonl"),
    **{name: benchmark.questions_files for name, benchmark in WITH_FILES.items()},
}


@dataclass(frozen=True)
class Targets:
    """The folders to write: the corpus, the finetune set, and the one that holds a folder per benchmark."""

    corpus: Path
    finetune: Path
    benchmarks: Path

    def folder(self, part: str) -> Path:
        return {"corpus": self.corpus, "finetune": self.finetune}.get(part, self.benchmarks / part)


def user_files(source: Path, format: str = "auto") -> dict[str, Path]:
    """What a user's folder holds: part -> file; of the corpus, which has `format`, perhaps a folder.

    A benchmark's file may lie in the folder itself or in `benchmarks/<name>/`, which comes first.

    Raises:
        UserError: The folder is missing, or holds nothing that Recap knows.
    """
    if not source.is_dir():
        raise UserError(
            f"{source}: expected a folder with a {WORLD_FILE} or your own files; docs/DATA.md describes both"
            f"{hint_on_copies()}"
        )
    corpus = find_corpus(source, format)
    found = {"corpus": corpus} if corpus is not None else {}
    for part, names in USER_FILES.items():
        if part == "corpus":
            continue
        folders = (source / BENCHMARKS_FOLDER / part, source) if part in WITH_FILES else (source,)
        for path in (folder / name for folder in folders for name in names):
            if path.is_file():
                found.setdefault(part, path)
    if not found:
        known = ", ".join(name for names in USER_FILES.values() for name in names)
        raise UserError(f"{source}: expected a {WORLD_FILE}, or at least one of {known}; found none of them")
    return found


def require_apart(source: Path, targets: Targets) -> None:
    """Raises: UserError: An output lies in the source or the other way round, and would be written over it."""
    read = source.resolve()
    for target in (targets.corpus, targets.finetune, targets.benchmarks):
        written = target.resolve()
        if read.is_relative_to(written) or written.is_relative_to(read):
            raise UserError(
                f"{source}: expected a source apart from the output {target}, which this stage replaces; move the "
                "source to a folder of its own"
            )


def prepare(
    files: dict[str, Path],
    world: WorldSettings,
    targets: Targets,
    terms: Terms,
    *,
    work: Path,
    open_corpus: OpenCorpus = open_source,
) -> dict[str, Part]:
    """Write every part: from the user's file if `files` names one, else from the embedded world.

    Args:
        files: Part -> the user's file; see `user_files`. Empty if everything is embedded.
        world: The embedded world.
        targets: Where the parts go. Each gets a `rejected.jsonl`, also when the stage stops.
        terms: How the user's rows are taken; their `work` is set here, for each part.
        work: The scratch folder, where a killed run's finished shards lie.
        open_corpus: Opens the user's corpus, with the parameters that say how.

    Returns:
        What became of each part.

    Raises:
        UserError: A user's file is unusable as a whole, or too many of its rows are.
    """
    parts = {}
    for name in USER_FILES:
        target = targets.folder(name)
        remove_drafts(target)
        with atomic_path(target) as draft:
            draft.mkdir()
            place = work / name
            place.mkdir(exist_ok=True)
            here = replace(terms, work=place)
            if name not in files:
                part = _embedded(name, world, draft, place)
            elif name == "corpus":
                part = take_corpus(files[name], draft, here, open_corpus=open_corpus)
            else:
                part = _take(name, files[name], draft, here)
            listing = [rejection.to_row() for rejection in part.rejections]
            write_jsonl(draft / "rejected.jsonl", listing)
            if part.rejections or not part.rows:
                # Beside the draft too, which is lost if the stage stops here.
                write_jsonl(target / "rejected.jsonl", listing)
            require_few_rejections(part, terms.max_rejected, f"{name} ({files.get(name)})", target / "rejected.jsonl")
        origin = files.get(name, "the embedded world")
        logger.info("%s: %d rows from %s, %d rejected", name, part.rows, origin, len(part.rejections))
        parts[name] = part
    return parts


def _take(name: str, file: Path, folder: Path, terms: Terms) -> Part:
    if name == "finetune":
        return take_conversations(file, folder, terms)
    return take_benchmark(WITH_FILES[name], file, folder, terms)


def take_benchmark(benchmark: Benchmark, questions_file: Path, folder: Path, terms: Terms = DEFAULT_TERMS) -> Part:
    """Take the usable questions of a user's file, with their images, under the official names.

    Raises:
        LookupError: Nothing here knows the benchmark's format.
    """
    match benchmark:
        case TextVQA():
            return take_textvqa(benchmark, questions_file, folder, terms)
        case MMBench():
            return take_mmbench(benchmark, questions_file, folder, terms)
        case VQA():
            return take_vqa(benchmark, questions_file, folder, terms)
        case GQA():
            return take_gqa(benchmark, questions_file, folder, terms)
    raise LookupError(f"{benchmark.name}: expected a format that recap.data.sources can take, found another")


def _embedded(name: str, world: WorldSettings, folder: Path, work: Path) -> Part:
    """A part of the world; but for the corpus it is written as a user would bring it, and taken from there."""
    if name == "corpus":
        return write_corpus(world, folder, work=work)
    drawn = work / "drawn"
    drawn.mkdir(exist_ok=True)
    if name == "finetune":
        write_finetune(world, drawn)
        file = drawn / "train.json"
    else:
        write_benchmark(name, world, drawn)
        file = drawn / WITH_FILES[name].questions_files[0]
    return replace(_take(name, file, folder, Terms(work=work)), origin="embedded")
