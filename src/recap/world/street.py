"""The street world of one world.yaml: what can be asked about it, and its pictures.

Nothing here knows a file format but JPEG: what the parts of a world are written as is `recap.data`'s to say.
"""

import io
import logging
from collections.abc import Mapping
from pathlib import Path

from tqdm import tqdm

from recap.world.asking import Annotators, Asked, AskedChoice, ask, ask_choices
from recap.world.rendering import save_jpeg
from recap.world.scenes import Scene
from recap.world.settings import WorldSettings

logger = logging.getLogger(__name__)


class StreetWorld:
    """Asks and draws; the same settings give the same questions and the same pictures."""

    def __init__(self, settings: WorldSettings) -> None:
        self.settings = settings

    def ask(self, benchmark: str, families: dict[str, int], annotators: Annotators = "perceived") -> list[Asked]:
        """The questions of a benchmark, as many as the world's settings say: see `recap.world.asking.ask`."""
        count, seed = self.settings.benchmarks.questions, self.settings.seed
        return ask(benchmark, families, annotators, count=count, seed=seed)

    def ask_choices(self, benchmark: str) -> list[AskedChoice]:
        """As many multiple-choice questions: see `recap.world.asking.ask_choices`."""
        return ask_choices(benchmark, count=self.settings.benchmarks.questions, seed=self.settings.seed)

    def jpeg(self, scene: Scene) -> bytes:
        """A scene's picture, as the bytes of a JPEG file."""
        buffer = io.BytesIO()
        save_jpeg(scene, buffer)
        return buffer.getvalue()

    def draw(self, pictures: Mapping[Path, Scene], what: str) -> None:
        """Write scenes' pictures as JPEG files, with a progress bar that is called `what`."""
        logger.info("%s: rendering %d pictures", what, len(pictures))
        for path, scene in tqdm(pictures.items(), desc=what, unit="image"):
            path.parent.mkdir(parents=True, exist_ok=True)
            save_jpeg(scene, path)
