"""Build a recipe's operators through Data-Juicer's registry, each with what the run supplies."""

import inspect
from dataclasses import asdict, dataclass
from typing import Any

from recap.data.processing.captions import read_alignments, read_captions
from recap.data.processing.code import refuse_code
from recap.data.processing.custom import load_operators
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
from recap.data.processing.operators import OWN
from recap.data.processing.ops.leaks import read_leaked
from recap.data.processing.recipe import Operator, Recipe
from recap.data.processing.rows import MARKED_TEXT
from recap.runtime.errors import UserError, one_line
from recap.runtime.seeding import derive_seed

NEED_MARKERS = frozenset(
    {
        "image_text_matching_filter", "image_text_similarity_filter", "phrase_grounding_recall_filter",
        "image_captioning_mapper",
    }
)  # fmt: skip
"""Data-Juicer's operators that look in the text for the place of each image, and pass over a text without one.

So do those made from them. A recipe says `text_key: marked_text` for another operator of its own that does so.
"""

CAPTIONER = "image_captioning_mapper"
"""Data-Juicer's operator that captions images while a recipe runs; what is made from it does so too."""

# What operators raise on rows that they cannot handle, and constructors on arguments that they refuse.
OPERATOR_ERRORS = (
    ArithmeticError, AssertionError, AttributeError, ImportError, LookupError, OSError, RuntimeError, TypeError,
    ValueError,
)  # fmt: skip


@dataclass(frozen=True)
class Supplied:
    """What a run gives those of Recap's operators that ask for it by these names.

    Attributes:
        captions_path: BLIP-2's captions.
        raw_captions_path: The corpus's own, with their scores; empty where there is no such file.
        index_path: The corpus's index; empty where pictures are told apart by name.
        seed: The run's, of which each operator in a recipe gets a seed of its own.
    """

    captions_path: str
    raw_captions_path: str = ""
    index_path: str = ""
    seed: int = 42

    @property
    def score_paths(self) -> list[str]:
        """The files that say how well captions fit their images."""
        return [path for path in (self.raw_captions_path, self.captions_path) if path]


def build_operators(recipe: Recipe, supplied: Supplied) -> list[Any]:
    """Instantiate a recipe's operators, after Data-Juicer's own check of names and arguments.

    Raises:
        UserError: An operator or an argument is unknown, ill-typed or refused, would run code (see
            `recap.data.processing.code`), or what it reads is not there.
    """
    refuse_code(recipe)
    load_operators(recipe.name, recipe.custom_operator_paths)
    try:
        pre_instantiation_check([{operator.name: operator.arguments} for operator in recipe.operators])
    except PipelineConfigError as error:
        raise UserError(
            f"recipe {recipe.name}: {'; '.join(map(str, error.errors))}; "
            f"{len(OPERATORS.modules)} operators exist, Data-Juicer's own and {', '.join(sorted(OWN))}"
        ) from None
    for reader in (read_captions, read_alignments, read_leaked):
        reader.cache_clear()  # another run in this process may have read an older file
    return [_build(recipe, operator, supplied) for operator in recipe.operators]


def _build(recipe: Recipe, operator: Operator, supplied: Supplied) -> Any:
    try:
        (op,) = load_ops([{operator.name: _complete(operator, supplied)}])
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


def _complete(operator: Operator, supplied: Supplied) -> dict[str, Any]:
    """The recipe's arguments and those that the run supplies.

    A failing operator must raise: with `skip_op_error`, Data-Juicer would drop its whole batch without a word.
    """
    given: dict[str, Any] = {"auto_op_parallelism": False, "num_proc": None, "skip_op_error": False}
    if operator.name in OWN:
        values = {**asdict(supplied), "seed": derive_seed(supplied.seed, operator.label)}
        asked = argument_names(OWN[operator.name])
        given |= {name: value for name, value in values.items() if name in asked}
    if NEED_MARKERS & names_of(OPERATORS.modules[operator.name]):
        given["text_key"] = MARKED_TEXT
    return {**given, **operator.arguments}


def names_of(operator: type) -> set[str]:
    """The registered names of an operator and of those that it is made from."""
    return {vars(cls)["_name"] for cls in operator.__mro__ if "_name" in vars(cls)}


def argument_names(operator: type) -> set[str]:
    """The names of what an operator, or a class that it is made from, can be given."""
    constructors = [vars(cls)["__init__"] for cls in operator.__mro__ if "__init__" in vars(cls)]
    return {name for constructor in constructors for name in inspect.signature(constructor).parameters}


def told(error: BaseException) -> str:
    """What an operator raised, for a message."""
    return f"{type(error).__name__}: {one_line(error, 300)}"
