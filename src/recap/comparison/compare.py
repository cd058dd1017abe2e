"""A comparison from the names of revisions to the verdict; what the command prints and the page draws."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from recap.comparison.comparability import Incomparable, require_comparable
from recap.comparison.document import verdict_document
from recap.comparison.revisions import changed_code, read_revision
from recap.comparison.sides import Side, make_side
from recap.comparison.verdict import Verdict, judge
from recap.runtime.errors import UserError


@dataclass(frozen=True)
class Comparison:
    """Two sides and what follows from their runs.

    Attributes:
        a: Side A, its runs in the order of their seeds.
        b: Side B.
        incomparable: What the sides should share and do not; empty unless forced.
        code: Files of code and recipes in which any run differs from another.
        verdicts: On every benchmark that all runs scored.
        document: All of it as JSON; see `recap.comparison.document`.
    """

    a: Side
    b: Side
    incomparable: list[Incomparable]
    code: list[str]
    verdicts: list[Verdict]
    document: dict[str, Any]


def compare(names_a: Sequence[str], names_b: Sequence[str], *, force: bool = False) -> Comparison:
    """Read both sides' runs and judge them. The order of names changes nothing.

    Args:
        names_a: Experiments, branches, tags, commits or `workspace`: runs of one recipe, one a training seed.
        names_b: Of the other recipe, or of the same with other seeds.
        force: Compare what is not comparable, and list why it is not.

    Raises:
        UserError: A revision can't be read, a side is not one recipe with different seeds, or the sides are not
            comparable, share a commit, or share no questions.
    """
    a, b = (make_side([read_revision(name) for name in names]) for names in (names_a, names_b))
    shared = {run.short for run in a.runs} & {run.short for run in b.runs}
    if shared:
        raise UserError(f"{a.names} and {b.names} are the same commit ({min(shared)}), so there is nothing to compare")
    incomparable = require_comparable(a, b, force=force)
    code = changed_code([*a.runs, *b.runs])
    verdicts = judge(a, b)
    return Comparison(
        a=a,
        b=b,
        incomparable=incomparable,
        code=code,
        verdicts=verdicts,
        document=verdict_document(a, b, verdicts, incomparable=incomparable, code=code),
    )


def revision_names(listed: str) -> list[str]:
    """A side as it is typed, "blip2,blip2-s43", as names.

    Raises:
        UserError: There is nothing before, between or after the commas.
    """
    names = [name.strip() for name in listed.split(",")]
    if not all(names):
        raise UserError(f"expected revisions separated by commas, found {listed!r}")
    return names
