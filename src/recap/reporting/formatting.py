"""Numbers and names as people read them on a page; every function is a filter of the templates."""

import re
from collections.abc import Callable
from typing import Any

from markupsafe import Markup, escape

from recap.runtime.display import CONTROLS, code_point, visible

DASH = "–"
MINUS = "−"
SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
# Where an identifier may break; one that has no such place may break all the same, or it would widen its table.
BREAKS = re.compile(r"([_./]|[^\s_./]{12})")
# Characters of the longest caption, question or answer that is shown whole: a page stays small whatever they are.
EXCERPT = 300


def number(value: Any, digits: int | None = None) -> str:
    """A value as people read it: 2,400; 61.24; −0.63; 1.2 × 10⁻⁵; a dash where there is none; lists joined."""
    match value:
        case None:
            return DASH
        case bool():
            return str(value).lower()
        case int():
            return f"{value:,}".replace("-", MINUS)
        case float():
            shown = f"{value:,.{digits}f}" if digits is not None else _significant(value, 4)
            return shown.replace("-", MINUS)
        case list():
            return ", ".join(number(item) for item in value)
    return str(value) or '""'


def _significant(value: float, digits: int) -> str:
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    mantissa, _, exponent = f"{value:.{digits}g}".partition("e")
    return f"{mantissa} × 10{str(int(exponent)).translate(SUPERSCRIPT)}" if exponent else mantissa


def signed(value: float | None) -> str:
    """A change, to three digits: +0.0562, −2.1, 0; a dash where there is none."""
    if value is None:
        return DASH
    return "0" if value == 0 else f"{'+' if value > 0 else MINUS}{_significant(abs(value), 3)}"


def breakable(text: Any) -> Markup:
    """Escaped text that may break after `_`, `.` and `/`, and in words without end: identifiers fit a narrow screen."""
    pieces = BREAKS.split(str(text))
    # Every second piece is one that a break may follow.
    return Markup("").join(_shown(piece) + (Markup("<wbr>") if n % 2 else "") for n, piece in enumerate(pieces))


def apart(text: str) -> Markup:
    """Escaped text of others that keeps its direction to itself: right-to-left words move nothing beside them.

    Control characters, which may hide words or turn letters round, are spelt out: U+202E.
    """
    return Markup(f"<bdi>{_shown(text)}</bdi>")


def _shown(text: Any) -> Markup:
    spelt_out = CONTROLS.sub(lambda found: f'<span class="control">{code_point(found)}</span>', str(escape(text)))
    return Markup(spelt_out)


def plain(value: Any) -> Any:
    """What a template or a chart puts anywhere, also into an attribute: of a text that no filter has made markup of,
    control characters are spelt out."""
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def excerpt(text: str) -> Markup:
    """A caption, question or answer as `apart` shows it, cut where it is very long."""
    return apart(f"{text[:EXCERPT]}… ({len(text):,} characters)" if len(text) > EXCERPT else text)


def score(value: float | None) -> str:
    """A caption's score to three decimals: 0.287, −0.012; a dash where there is none."""
    return DASH if value is None else f"{value:.3f}".replace("-", MINUS)


def span(low: float | None, high: float | None, show: Callable[[float], str]) -> str:
    """The ends of an interval: "0.598 to 0.607"; empty where there is none."""
    return "" if low is None or high is None else f"{show(low)} to {show(high)}"


def points(value: float | None, digits: int = 1) -> str:
    """A difference in points of 100, with its sign: +31.9, −2.2, 0.0; a dash where there is none."""
    if value is None:
        return DASH
    size = f"{abs(value):.{digits}f}"
    return f"{'+' if value > 0 else MINUS}{size}" if float(size) else size


def p_value(value: float | None) -> str:
    """A p-value to three decimals: 0.012, < 0.001; a dash where there is none."""
    if value is None:
        return DASH
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def interval(low: float | None, high: float | None, digits: int = 1) -> str:
    """An interval in points: "[+24.6, +38.8]"; empty where there is none."""
    return "" if low is None or high is None else f"[{points(low, digits)}, {points(high, digits)}]"


def percent(value: float) -> str:
    """A share of 100 to two decimals, which may be below zero: 71.88, −2.20."""
    return f"{value:.2f}".replace("-", MINUS)


def tally(value: float) -> str:
    """A count of questions, or a mean of such counts: 14, 9.3."""
    return f"{value:,.1f}".removesuffix(".0")
