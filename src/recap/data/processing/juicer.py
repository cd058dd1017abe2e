"""Data-Juicer, imported so that it stays quiet and offline: everything else takes it from here.

On its own, py-data-juicer 1.6.1 installs packages and downloads models whenever it misses one (Ray already while it
is imported), lets Pillow accept truncated images in the whole process, and logs every step to stderr. All of this is
undone here, once, at import. What a recipe needs is installed and fetched by the user before a run, never by it.
"""

import sys
import types
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

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

    That one imports every executor, and those for Ray need Ray, a large package that py-data-juicer does not
    declare. Operators run without an executor.
    """
    core = types.ModuleType("data_juicer.core")
    core.__path__ = [str(Path(data_juicer.__file__).parent / "core")]
    sys.modules.setdefault("data_juicer.core", core)


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


with _settings_of_pillow_kept():
    import data_juicer
    from data_juicer.utils.lazy_loader import LazyLoader

    LazyLoader._install_package = staticmethod(_refuse_install)
    _skip_executors()

    from data_juicer.core.data import NestedDataset
    from data_juicer.core.preflight import PipelineConfigError, pre_instantiation_check
    from data_juicer.ops import NON_STATS_FILTERS, OPERATORS, Deduplicator, Filter, Mapper, Selector, load_ops
    from data_juicer.ops.common import SPECIAL_CHARACTERS, get_words_from_document, words_refinement
    from data_juicer.utils import model_utils
    from data_juicer.utils.constant import Fields, HashKeys
    from data_juicer.utils.process_utils import setup_mp

_find_model = model_utils.check_model
model_utils.check_model = _find_model_locally
wget.download = _refuse_download
logger.disable("data_juicer")

__all__ = [
    "NON_STATS_FILTERS",
    "OPERATORS",
    "SPECIAL_CHARACTERS",
    "Deduplicator",
    "Fields",
    "Filter",
    "HashKeys",
    "Mapper",
    "NestedDataset",
    "PipelineConfigError",
    "Selector",
    "get_words_from_document",
    "load_ops",
    "pre_instantiation_check",
    "setup_mp",
    "words_refinement",
]
