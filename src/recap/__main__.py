"""`python -m recap`: the commands there are, one line each, and what works where.

A command is a module of this package that runs with `python -m`; its line is the first sentence of its docstring. None
of them is imported for it, so the list is there at once.
"""

import argparse
import ast
import re
from importlib.metadata import version
from pathlib import Path

PACKAGE = Path(__file__).parent

# What has something to work on where the package alone is installed: files that are named to it, or nothing at all.
# Every other command reads or changes a pipeline, its experiments or its documents.
ANYWHERE = (
    "recap.captioning.store", "recap.comparison.simulation", "recap.data.explore", "recap.data.export",
    "recap.data.statistics.coverage", "recap.models.hub", "recap.models.mgm.convert", "recap.rehearsal",
    "recap.training.check",
)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m recap", description="List Recap's commands.")
    parser.add_argument("--version", action="version", version=f"recap {version('recap')}")
    parser.parse_args()
    found = commands()
    print(f"Recap {version('recap')}. Each command explains itself: python -m COMMAND --help\n")
    print("Anywhere:")
    _print_table({name: line for name, line in found.items() if name in ANYWHERE})
    print("\nIn a clone of the repository, beside its dvc.yaml and its Git history of experiments:")
    _print_table({name: line for name, line in found.items() if name not in ANYWHERE})
    print()
    print(_where())


def commands() -> dict[str, str]:
    """The first sentence of each command's docstring, by the name that `python -m` takes, in alphabetical order."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        if path != Path(__file__) and 'if __name__ == "__main__":' in text:
            parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
            name = ".".join(parts[:-1] if parts[-1] == "__main__" else parts)
            found[name] = first_sentence(ast.get_docstring(ast.parse(text)) or "")
    return dict(sorted(found.items()))


def first_sentence(docstring: str) -> str:
    """The text up to its first full stop, on one line, without the usage that may lead it.

    "`python -m recap.x A`: say what A is. More." is "Say what A is".
    """
    paragraph = " ".join(docstring.split("\n\n")[0].split())
    sentence = re.split(r"\.(?:\s|$)", re.sub(r"^`[^`]*`: *", "", paragraph))[0]
    return sentence[:1].upper() + sentence[1:]


def _print_table(rows: dict[str, str]) -> None:
    for name, line in rows.items():
        print(f"  {name:<31} {line}")


def _where() -> str:
    here = Path.cwd()
    if (here / "dvc.yaml").is_file() and (here / "stages").is_dir():
        return "This folder is a clone: all of them work here; `make help` lists what they are usually called by."
    return (
        "This folder is no clone, so the second list has nothing to work on here and there is no pipeline to run: the\n"
        "package holds the library, and neither dvc.yaml, stages, recipes and profiles nor the tiny models. To run\n"
        "one, clone the repository."
    )


if __name__ == "__main__":
    main()
