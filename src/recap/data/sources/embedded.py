"""Write the embedded world's corpus, finetune set and benchmarks, each in its format."""

from dataclasses import replace
from pathlib import Path

from recap.data.benchmarks.registry import BENCHMARKS
from recap.data.formats.samples import Sample
from recap.data.sources.packing import pack
from recap.data.sources.rejections import Part
from recap.io import write_json
from recap.world.corpus import captioned_scenes
from recap.world.finetune import conversations
from recap.world.settings import WorldSettings
from recap.world.street import StreetWorld


def write_corpus(settings: WorldSettings, folder: Path, *, work: Path) -> Part:
    """Write shards and index below `folder`; pictures are drawn in the scratch folder `work`."""
    shown = captioned_scenes(settings)
    drawn = work / "drawn"
    pairs = [Sample(scene.id, scene.id, f"images/{scene.id}.jpg", caption, {}) for scene, caption in shown]
    StreetWorld(settings).draw(
        {drawn / pair.image: scene for pair, (scene, _) in zip(pairs, shown, strict=True)}, "corpus"
    )
    return replace(pack(pairs, drawn, folder, work=work), origin="embedded")


def write_finetune(settings: WorldSettings, folder: Path) -> None:
    """Write `train.json` and `images/` below `folder`, as a user would bring them."""
    found = conversations(settings)
    pictures = {folder / row["image"]: scene for scene, row in found if scene is not None}
    StreetWorld(settings).draw(pictures, "finetune")
    write_json(folder / "train.json", [row for _, row in found])


def write_benchmark(name: str, settings: WorldSettings, folder: Path) -> None:
    """Write a benchmark's official files and images below `folder`, as a user would bring them."""
    BENCHMARKS[name].write(StreetWorld(settings), folder)
