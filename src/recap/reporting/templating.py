"""The templates of all pages: one environment, so that every page escapes and formats alike.

Captions, questions and answers are other people's text: the environment escapes every value.
"""

from jinja2 import Environment, PackageLoader, StrictUndefined

from recap.reporting.formatting import breakable, interval, number, percent, points, signed, tally
from recap.reporting.labels import title_of


def environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("recap.reporting"),
        autoescape=True,
        undefined=StrictUndefined,
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
        "title_of": title_of,
    }
    environment.globals["interval"] = interval
    return environment
