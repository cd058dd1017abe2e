"""Write the embedded world's corpus, finetune set and benchmarks, each in its format."""

from pathlib import Path

from recap.data.benchmarks.registry import BENCHMARKS
from recap.data.corpus.records import Record
from recap.io import write_json, write_jsonl
from recap.world.corpus import captioned_scenes
from recap.world.finetune import conversations
from recap.world.settings import WorldSettings
from recap.world.street import StreetWorld


def write_corpus(settings: WorldSettings, folder: Path) -> int:
    """Write `train.jsonl` and `images/` below `folder`. Returns the number of pairs."""
    shown = captioned_scenes(settings)
    records = [Record(id=scene.id, image=f"images/{scene.id}.jpg", caption=caption) for scene, caption in shown]
    pictures = {folder / record.image: scene for record, (scene, _) in zip(records, shown, strict=True)}
    StreetWorld(settings).draw(pictures, "corpus")
    return write_jsonl(folder / "train.jsonl", (record.to_row() for record in records))


def write_finetune(settings: WorldSettings, folder: Path) -> int:
    """Write `train.json` and `images/` below `folder`. Returns the number of conversations."""
    found = conversations(settings)
    pictures = {folder / row["image"]: scene for scene, row in found if scene is not None}
    StreetWorld(settings).draw(pictures, "finetune")
    write_json(folder / "train.json", [row for _, row in found])
    return len(found)


def write_benchmark(name: str, settings: WorldSettings, folder: Path) -> int:
    """Write a benchmark's official files below `folder`. Returns the number of questions; of rows, for MMBench."""
    return BENCHMARKS[name].write(StreetWorld(settings), folder)
