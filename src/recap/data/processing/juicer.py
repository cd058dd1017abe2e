"""Data-Juicer, imported so that it stays quiet and offline: everything else takes it from here.

On its own, py-data-juicer 1.6.1 installs packages and downloads models whenever it misses one (Ray already while it
is imported), lets Pillow accept truncated images in the whole process, and logs every step to stderr. All of this is
undone here, once, at import. What a recipe needs is installed and fetched by the user before a run, never by it.
Its samples, always drawn with seed 42, are drawn with the run's.

Data-Juicer's own commands, which load Recap's operators from their file, keep their ways: there nothing is undone.
"""

import sys
import types
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import multiprocess
import wget
from loguru import logger
from PIL import ImageFile

from recap.runtime.errors import UserError


@contextmanager
def _settings_of_pillow_kept() -> Iterator[None]:
    before = ImageFile.LOAD_TRUNCATED_IMAGES
    yield
    ImageFile.LOAD_TRUNCATED_IMAGES = before


def _skip_executors() -> None:
    """Give `data_juicer.core` to Python as a plain package, without running its `__init__`.

    There is no other way to its dataset: `data_juicer.ops` imports `data_juicer.core.data`, and Python runs a package's
    `__init__` before any module below it. This one imports the executors for Ray, whose module level asks for Ray's
    decorators; Ray, a large package that py-data-juicer does not declare, is then installed, or its absence ends the
    import. Operators run without an executor.
    """
    core = types.ModuleType("data_juicer.core")
    core.__path__ = [str(Path(data_juicer.__file__).parent / "core")]
    sys.modules["data_juicer.core"] = core


def _refuse_install(package: str, pip_args: object = None) -> NoReturn:
    raise UserError(
        f"an operator of this recipe needs the Python package {package!r}, which is not installed; "
        "install it first (a run installs nothing) or choose another operator"
    )


def _refuse_download(url: str, *_: object, **__: object) -> NoReturn:
    raise UserError(f"an operator of this recipe wants to download {url}; fetch it first (a run downloads nothing)")


def _find_model_locally(model_name: str, force: bool = False) -> Any:
    if force:
        raise UserError(
            f"an operator of this recipe needs the model {model_name!r}, which is not in Data-Juicer's model cache; "
            "put it there first (a run downloads nothing) or choose another operator"
        )
    return _find_model(model_name)


def _draw_with_run_seed(dataset: Any, weight: float = 1.0, sample_number: int = 0, seed: int | None = None) -> Any:
    return _draw(dataset, weight, sample_number, sampling.seed if seed is None else seed)


sampling = types.SimpleNamespace(seed=42)
"""The seed of Data-Juicer's samples, for example of `random_selector`, which takes none."""

IS_GUEST = "data_juicer.config" in sys.modules
"""Whether a command of Data-Juicer has loaded this: nothing else reads its configurations."""

with _settings_of_pillow_kept():
    import data_juicer
    from data_juicer.utils.lazy_loader import LazyLoader

    if not IS_GUEST:
        LazyLoader._install_package = staticmethod(_refuse_install)
        _skip_executors()
    from data_juicer.utils import sample

    _draw = sample.random_sample
    if not IS_GUEST:
        sample.random_sample = _draw_with_run_seed  # before operators take it by name

    from data_juicer.core.data import NestedDataset
    from data_juicer.core.preflight import PipelineConfigError, pre_instantiation_check
    from data_juicer.ops import (
        NON_STATS_FILTERS,
        OPERATORS,
        UNFORKABLE,
        Deduplicator,
        Filter,
        Mapper,
        Selector,
        load_ops,
    )
    from data_juicer.ops.common import SPECIAL_CHARACTERS, get_words_from_document, words_refinement
    from data_juicer.utils import model_utils
    from data_juicer.utils.constant import Fields, HashKeys, StatsKeys
    from data_juicer.utils.process_utils import setup_mp


def start_workers_by(op: Any) -> None:
    """Choose how an operator's workers start, as Data-Juicer does: CUDA and threads do not survive a fork.

    A fork inherits what this module undoes. A fork server imports it first, before any worker imports Data-Juicer;
    `spawn` offers no such place, so of Data-Juicer's two ways it is not used.
    """
    setup_mp("forkserver" if op.use_cuda() or op._name in UNFORKABLE.modules else "fork")


_find_model = model_utils.check_model
if not IS_GUEST:
    multiprocess.set_forkserver_preload([__name__])
    model_utils.check_model = _find_model_locally
    wget.download = _refuse_download
    logger.disable("data_juicer")

__all__ = [
    "NON_STATS_FILTERS",
    "OPERATORS",
    "SPECIAL_CHARACTERS",
    "UNFORKABLE",
    "Deduplicator",
    "Fields",
    "Filter",
    "HashKeys",
    "Mapper",
    "NestedDataset",
    "PipelineConfigError",
    "Selector",
    "StatsKeys",
    "get_words_from_document",
    "load_ops",
    "pre_instantiation_check",
    "sampling",
    "start_workers_by",
    "words_refinement",
]
