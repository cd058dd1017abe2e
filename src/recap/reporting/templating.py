"""The templates of all pages: one environment, so that every page escapes and formats alike.

Captions, questions and answers are other people's text: the environment escapes every value.
"""

from jinja2 import Environment, PackageLoader, StrictUndefined

from recap.reporting.formatting import (
    breakable,
    excerpt,
    interval,
    number,
    percent,
    plain,
    points,
    score,
    signed,
    span,
    tally,
)
from recap.reporting.labels import SCORE_LABELS, source_of, title_of


def environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("recap.reporting"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=plain,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "number": number,
        "signed": signed,
        "points": points,
        "percent": percent,
        "tally": tally,
        "breakable": breakable,
        "excerpt": excerpt,
        "score": score,
        "score_label": SCORE_LABELS.__getitem__,
        "source_of": source_of,
        "title_of": title_of,
    }
    environment.globals |= {
        "interval": interval,
        "span": span,
        "as_number": number,
        "as_change": signed,
        "as_score": score,
    }
    return environment
