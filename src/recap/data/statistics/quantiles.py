"""Quantiles by one set of names."""

from collections.abc import Iterable

import numpy

SHARES = {
    "min": 0.0,
    "p1": 0.01,
    "p5": 0.05,
    "p25": 0.25,
    "median": 0.5,
    "p75": 0.75,
    "p95": 0.95,
    "p99": 0.99,
    "max": 1.0,
}


def quantiles(values: Iterable[float | None], names: Iterable[str] = tuple(SHARES)) -> dict[str, float | None]:
    """Some quantiles of numbers, interpolated linearly.

    Args:
        values: Shape (n,); None and NaN are left out.
        names: Of `SHARES`.

    Returns:
        By name, in the order of `names`; each None where there is no number.
    """
    known = numpy.array(list(values), dtype=numpy.float64)
    known = known[~numpy.isnan(known)]
    if not known.size:
        return dict.fromkeys(names)
    return {name: float(numpy.quantile(known, SHARES[name])) for name in names}
