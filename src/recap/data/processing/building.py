"""Build a recipe's operators through Data-Juicer's registry, each with what the run supplies."""

from pathlib import Path
from typing import Any

from recap.data.processing.juicer import (
    OPERATORS,
    Deduplicator,
    Filter,
    Mapper,
    PipelineConfigError,
    Selector,
    load_ops,
    pre_instantiation_check,
)
from recap.data.processing.operators import OF_CAPTIONS, OWN, read_captions, read_leaked
from recap.data.processing.recipe import Operator, Recipe
from recap.data.processing.rows import MARKED_TEXT
from recap.runtime.errors import UserError, one_line

NEED_MARKERS = frozenset(
    {
        "image_text_matching_filter", "image_text_similarity_filter", "phrase_grounding_recall_filter",
        "image_captioning_mapper",
    }
)  # fmt: skip
"""Data-Juicer's operators that look in the text for the place of each image, and pass over a text without one.

A recipe says `text_key: marked_text` for an operator of its own that does so.
"""

# What operators raise on rows that they cannot handle, and constructors on arguments that they refuse.
OPERATOR_ERRORS = (
    ArithmeticError, AssertionError, AttributeError, ImportError, LookupError, OSError, RuntimeError, TypeError,
    ValueError,
)  # fmt: skip


def build_operators(recipe: Recipe, captions: str | Path) -> list[Any]:
    """Instantiate a recipe's operators, after Data-Juicer's own check of names and arguments.

    Raises:
        UserError: An operator or an argument is unknown, ill-typed or refused.
    """
    try:
        pre_instantiation_check([{operator.name: operator.arguments} for operator in recipe.operators])
    except PipelineConfigError as error:
        raise UserError(
            f"recipe {recipe.name}: {'; '.join(map(str, error.errors))}; "
            f"{len(OPERATORS.modules)} operators exist, Data-Juicer's own and {', '.join(sorted(OWN))}"
        ) from None
    for reader in (read_captions, read_leaked):
        reader.cache_clear()  # another run in this process may have read an older file
    return [_build(recipe, operator, captions) for operator in recipe.operators]


def _build(recipe: Recipe, operator: Operator, captions: str | Path) -> Any:
    try:
        (op,) = load_ops([{operator.name: _complete(operator, captions)}])
    except PipelineConfigError as error:
        problems = "; ".join(map(str, error.errors))
        raise UserError(f"recipe {recipe.name}: {operator.label}: {problems}") from None
    except OPERATOR_ERRORS as error:
        raise UserError(f"recipe {recipe.name}: {operator.label} refuses its arguments: {told(error)}") from error
    if not isinstance(op, Filter | Mapper | Deduplicator | Selector):
        raise UserError(
            f"recipe {recipe.name}: {operator.label} regroups rows; expected filters, mappers, deduplicators, selectors"
        )
    return op


def _complete(operator: Operator, captions: str | Path) -> dict[str, Any]:
    """The recipe's arguments and those that the run supplies.

    A failing operator must raise: with `skip_op_error`, Data-Juicer would drop its whole batch without a word.
    """
    supplied: dict[str, Any] = {"auto_op_parallelism": False, "num_proc": None, "skip_op_error": False}
    if operator.name in OF_CAPTIONS:
        supplied["captions_path"] = str(captions)
    if operator.name in NEED_MARKERS:
        supplied["text_key"] = MARKED_TEXT
    return {**supplied, **operator.arguments}


def told(error: BaseException) -> str:
    """What an operator raised, for a message."""
    return f"{type(error).__name__}: {one_line(error, 300)}"
