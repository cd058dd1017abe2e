"""What in a recipe would run code is refused: recipes are data, and code has one door, `custom_operator_paths`."""

import inspect
import re
import sys

from recap.data.processing.juicer import OPERATORS
from recap.data.processing.recipe import Operator, Recipe
from recap.runtime.errors import UserError

# Arguments of Data-Juicer's operators that are code, or name a file of it.
CODE_ARGUMENTS = {
    "python_lambda_mapper": "lambda_str",
    "python_file_mapper": "file_path",
    "remove_repeat_sentences_mapper": "tokenizer",
    "image_ohem_selector": "score_file",
}
# Lets a model's folder bring code; operators with models have it.
TRUST = "trust_remote_code"

_STARTS_PROGRAMS = re.compile(r"^\s*import subprocess\b|\bos\.system\(", re.MULTILINE)


def refuse_code(recipe: Recipe) -> None:
    """Refuse what would run before or beside the files that a recipe names as its operators.

    Raises:
        UserError: An argument is code or trusts a model's, or one of Data-Juicer's operators starts other programs, as
            those do that install packages or fetch repositories.
    """
    for operator in recipe.operators:
        if problem := _problem(operator):
            raise UserError(
                f"recipe {recipe.name}: {operator.label}: {problem}, and a recipe runs no code; write an operator of "
                "your own and name its file in custom_operator_paths"
            )


def _problem(operator: Operator) -> str | None:
    for argument in (CODE_ARGUMENTS.get(operator.name), TRUST):
        if argument is not None and operator.arguments.get(argument):
            return f"expected no {argument}, found {operator.arguments[argument]!r:.80}"
    known = OPERATORS.modules.get(operator.name)
    if known is None or not known.__module__.startswith("data_juicer."):
        return None
    if _STARTS_PROGRAMS.search(inspect.getsource(sys.modules[known.__module__])):
        return "expected an operator that works in this process, found one that starts other programs"
    return None
