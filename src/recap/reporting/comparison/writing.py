"""From a verdict to its page: the runs' files are read, the page is rendered and put beside the other reports."""

import re
import tempfile
from pathlib import Path
from typing import Any

from recap.io import write_text
from recap.reporting.comparison.page import render
from recap.reporting.comparison.sides import read_runs


def write_page(document: dict[str, Any], folder: Path) -> Path:
    """Write the page of a verdict.

    Args:
        document: The verdict, as `recap.comparison` writes it.
        folder: Created if it does not exist.

    Returns:
        The page, `<A>..<B>.html` in that folder.

    Raises:
        UserError: A file of a run exists but is not what its stage writes.
    """
    with tempfile.TemporaryDirectory() as copies:
        html = render(document, *read_runs(document, Path(copies)))
    path = folder / page_name(document)
    write_text(path, html)
    return path


def page_name(document: dict[str, Any]) -> str:
    """`<A>..<B>.html`: a side of one run is called by its revision, one of several by its label and their number."""
    return f"{_file_name(document['a'])}..{_file_name(document['b'])}.html"


def _file_name(side: dict[str, Any]) -> str:
    runs = side["runs"]
    name = runs[0]["revision"] if len(runs) == 1 else f"{side['label']}-{len(runs)}-seeds"
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.")
