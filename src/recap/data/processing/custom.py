"""Operators from files that a recipe names in `custom_operator_paths`, as in a configuration of Data-Juicer."""

import importlib
import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path

import recap
from recap.data.processing.juicer import OPERATORS  # noqa: F401 - before any file registers what it holds
from recap.runtime.errors import UserError, one_line

PACKAGE = Path(recap.__path__[0]).resolve()


def load_operators(recipe: str, paths: Sequence[str]) -> None:
    """Run files of operators, each once in a process; they register what they hold.

    Recap's own are imported as the modules that they are, so that workers find them again however these are started.

    Raises:
        UserError: There is no such file, or it fails.
    """
    for path in paths:
        file = Path(path).resolve()
        if not file.is_file():
            raise UserError(
                f"recipe {recipe}: custom_operator_paths: expected a file of operators, found none at {path}"
            )
        try:
            if file.is_relative_to(PACKAGE):
                importlib.import_module(".".join(["recap", *file.relative_to(PACKAGE).with_suffix("").parts]))
            else:
                _run(file)
        except Exception as error:
            raise UserError(f"recipe {recipe}: {path}: {type(error).__name__}: {one_line(error, 300)}") from error


def _run(file: Path) -> None:
    name = f"recap_custom_operators:{file}"
    if name in sys.modules:
        return
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise ImportError("expected a Python file")
    sys.modules[name] = module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
