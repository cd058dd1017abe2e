"""Write what a run works on: corpus, finetune set and benchmarks, from a world or from the user's own files.

In: a folder with a world.yaml or with the user's files, and the embedded world that serves for what those lack.
Out: data/corpus, data/finetune, data/benchmarks/<name>, each with a rejected.jsonl; counts and reasons.
"""

import argparse
import logging
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

from recap.params import ModelsParams, load_params, read_yaml, validate
from recap.runtime.stage import run

logger = logging.getLogger("prepare")

HEADLINE = ("corpus.rejected",)


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", type=Path, required=True, help="folder with a world.yaml, or with your own files")
    parser.add_argument("--embedded", type=Path, required=True, help="world that serves for what the source lacks")
    parser.add_argument("--corpus", type=Path, required=True, help="output folder")
    parser.add_argument("--finetune", type=Path, required=True, help="output folder")
    parser.add_argument("--benchmarks", type=Path, required=True, help="output folder, one folder per benchmark in it")
    parser.add_argument("--metrics", type=Path, required=True)
    parser.add_argument("--details", type=Path, required=True, help="everything that is no metric")
    parser.add_argument("--timing", type=Path, required=True)
    parser.add_argument("--params", type=Path, default="params.yaml")
    return parser.parse_args()


def main() -> None:
    args = parse_args()

    from recap.data.benchmarks.registry import BENCHMARKS, check_chosen
    from recap.data.formats.source import open_source
    from recap.data.sources.first_look import look
    from recap.data.sources.packing import resume_key
    from recap.data.sources.pictures import Terms
    from recap.data.sources.preparation import WORLD_FILE, Targets, prepare, require_apart, user_files
    from recap.io import refuse_linked_folders, write_results
    from recap.runtime.holding import held
    from recap.runtime.scratch import discard, discard_unheld, scratch_dir
    from recap.runtime.timing import stage_timing
    from recap.world.settings import WorldSettings

    refuse_linked_folders([args.corpus, args.metrics, Path("models/merged"), Path("plots/pretrain")])
    targets = Targets(args.corpus, args.finetune, args.benchmarks)
    require_apart(args.source, targets)
    params, models, chosen = (load_params(name, args.params) for name in ("data", "models", "benchmarks"))
    # Every benchmark is written, whichever are chosen; but an unknown one should stop the run now.
    check_chosen(chosen)
    require_models(models)
    with ExitStack() as holding:
        with stage_timing(args.timing, "prepare") as timing:
            source_is_world = (args.source / WORLD_FILE).is_file()
            world_file = (args.source if source_is_world else args.embedded) / WORLD_FILE
            world = validate(WorldSettings, read_yaml(world_file), world_file)
            unread: list[Path] = []
            files = {} if source_is_world else user_files(args.source, params.format)
            if source_is_world:
                logger.info("everything comes from the embedded world %s", args.source)
            else:
                unread = look(args.source, files, chosen)
                logger.info("%s holds %s; %s serves for the rest", args.source, ", ".join(files), args.embedded)
            work = scratch_dir("prepare", resume_key(args.source, params))
            holding.enter_context(held(work))
            timing.keep_in(work)
            parts = prepare(
                files,
                world,
                targets,
                Terms(params.links, params.images, params.max_rejected, source=args.source),
                work=work,
                open_corpus=partial(
                    open_source, root=args.source, format=params.format, columns=params.columns.model_dump()
                ),
            )
            # What is asked hours later should be readable now: a file of OCR tokens, say, may be missing.
            for name, folder in chosen.items():
                BENCHMARKS[name].load(args.benchmarks / folder)
            timing["items"] = sum(part.rows for part in parts.values())

        sources = {name: part.origin for name, part in parts.items()}
        counts = {name: part.counts() for name, part in parts.items()}
        facts: dict[str, Any] = {"sources": sources, **counts}
        if unread:
            facts["unread"] = [path.name for path in unread]
        write_results(args.metrics, args.details, "prepare", facts, headline=HEADLINE)
        discard(work)
        discard_unheld(work.parent)


def require_models(models: ModelsParams) -> None:
    """No model is read here; but a run that would miss one an hour later should stop before a corpus is read."""
    from recap.models.presence import is_aligner, require_model, require_whole
    from recap.models.start_kinds import PARTS, kind_of

    start = kind_of(Path(models.start.path))
    for name in type(models).model_fields:
        folder = require_model(getattr(models, name).path, name)
        is_marker = start == PARTS if name == "start" else name == "aligner" and not is_aligner(folder)
        if not is_marker:
            require_whole(folder, name.replace("_", " "), tokenizer=name in ("captioner", "aligner", "language_model"))


if __name__ == "__main__":
    run(main)
