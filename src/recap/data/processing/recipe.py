"""Read a Data-Juicer recipe: which operators run, in which order, with which arguments.

A recipe of Recap holds Data-Juicer's `process:` list and, if it likes, `project_name:` and `custom_operator_paths:`.
What else a Data-Juicer configuration may say (other paths, `np`, caches, tracing) comes from the stage, so it is
refused here rather than ignored.
"""

from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from recap.params import SHOWN, read_yaml
from recap.runtime.errors import UserError, one_line

KEYS = ("project_name", "custom_operator_paths", "process")


@dataclass(frozen=True)
class Operator:
    """One step of a recipe.

    Attributes:
        label: Unique within its recipe: the operator's name, with "_2" behind it the second time, and so on.
        name: As Data-Juicer's registry knows it.
        arguments: As the recipe gives them.
    """

    label: str
    name: str
    arguments: dict[str, Any]


@dataclass(frozen=True)
class Recipe:
    """A data recipe.

    Attributes:
        name: The stem of its file.
        operators: In order.
        custom_operator_paths: Files that register operators of their own; relative to the project.
    """

    name: str
    operators: list[Operator]
    custom_operator_paths: tuple[str, ...] = ()


def read_recipe(path: str | Path) -> Recipe:
    """Read and check the form of a recipe; whether its operators exist is checked when they are built.

    Raises:
        UserError: There is no such recipe, or the file is not a recipe.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(_unknown_recipe(path))
    content = read_yaml(path)
    if not isinstance(content, dict) or not isinstance(content.get("process"), list):
        raise UserError(f"{path}: expected a Data-Juicer recipe with a `process:` list (`process: []` does nothing)")
    unknown = [key for key in content if key not in KEYS]
    if unknown:
        raise UserError(
            f"{path}: expected only {', '.join(KEYS)}, found {one_line(', '.join(map(str, unknown)), SHOWN)}; "
            "other paths, processes and caches are the stage's own"
        )
    custom = content.get("custom_operator_paths") or []
    if not isinstance(custom, list) or not all(isinstance(item, str) for item in custom):
        raise UserError(f"{path}: custom_operator_paths: expected a list of files, found {custom!r:.{SHOWN}}")
    return Recipe(path.stem, _operators(path, content["process"]), tuple(custom))


def _unknown_recipe(path: Path) -> str:
    names = sorted(file.stem for file in path.parent.glob("*.yaml"))
    close = get_close_matches(path.stem, names, n=1)
    hint = f"; did you mean {close[0]}?" if close else ""
    return f"{path}: no such recipe; {path.parent} holds {', '.join(names) or 'none'}{hint}"


def _operators(path: Path, process: list[Any]) -> list[Operator]:
    operators: list[Operator] = []
    for number, item in enumerate(process, start=1):
        match item:
            case dict() if len(item) == 1:
                name, arguments = next(iter(item.items()))
            case _:
                raise UserError(
                    f"{path}: process item {number}: expected `operator: arguments`, found {item!r:.{SHOWN}}"
                )
        arguments = {} if arguments is None else arguments
        if not isinstance(arguments, dict):
            raise UserError(
                f"{path}: process item {number}: expected arguments of {name}, found {arguments!r:.{SHOWN}}"
            )
        if arguments.get("skip_op_error"):
            raise UserError(f"{path}: {name}: skip_op_error loses every row of a batch that fails; remove it")
        count = 1 + sum(operator.name == name for operator in operators)
        operators.append(Operator(name if count == 1 else f"{name}_{count}", name, arguments))
    return operators
