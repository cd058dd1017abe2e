"""How steadily a training run went: numbers computed from the loss and gradient norm of every step.

In: two series, one value per optimizer step. Out: a dict for `metrics/<stage>.json`.

The spike score is OLMo 2's (arXiv 2501.00656, section 3): the percentage of values that lie seven or more standard
deviations from the mean of the last 1000 values. Runs here can be shorter than 1000 steps, so the window is a tenth of
the run, and it is reported. A value is held against the values *before* it: inside its own window of n values it could
never be more than sqrt(n - 1) deviations away, so that no window below 50 would ever see a spike.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

SPIKE_DEVIATIONS = 7.0
LONGEST_WINDOW = 1000
SHORTEST_WINDOW = 20
FINAL_SHARE = 0.1


def spike_window(steps: int) -> int:
    """Steps that a value is compared with: a tenth of the run, at least 20 and at most 1000."""
    return min(LONGEST_WINDOW, max(SHORTEST_WINDOW, round(0.1 * steps)))


def spike_score(series: Sequence[float], window: int) -> float | None:
    """Percentage (0-100) of values at least 7 standard deviations from the mean of the `window` values before.

    Only values with a whole window of finite values before them count; a value that is not finite is a spike. Where
    the window is constant, any other value is a spike.

    Returns:
        None when the series is too short to hold one value against a window.
    """
    values = np.asarray(series, dtype=np.float64)
    scored = spikes = 0
    for step in range(window, len(values)):
        before = values[step - window : step]
        if not np.isfinite(before).all():
            continue
        scored += 1
        spikes += int(not abs(values[step] - before.mean()) < max(SPIKE_DEVIATIONS * before.std(ddof=1), 1e-12))
    return 100.0 * spikes / scored if scored else None


def final_mean(series: Sequence[float]) -> float:
    """Mean of the last tenth of the run (at least one value)."""
    return float(np.mean(series[-max(1, math.ceil(FINAL_SHARE * len(series))) :]))


def detrended_std(series: Sequence[float], window: int) -> float:
    """Standard deviation of what remains after subtracting a centred rolling median of `window` steps; 0 of one step.

    The window is cut at both ends of the series. It measures the noise of a loss curve without its descent.
    """
    values = np.asarray(series, dtype=np.float64)
    half = window // 2
    trend = [np.median(values[max(0, step - half) : step + half + 1]) for step in range(len(values))]
    return float(np.std(values - np.asarray(trend), ddof=1)) if len(values) > 1 else 0.0


def _finite(series: Sequence[float]) -> NDArray[np.float64]:
    values = np.asarray(series, dtype=np.float64)
    return values[np.isfinite(values)]


def stability(loss: Sequence[float], grad_norm: Sequence[float], *, max_grad_norm: float) -> dict[str, float | None]:
    """The stability metrics of a run.

    Args:
        loss: Training loss of every step, in nats per token.
        grad_norm: Gradient norm of every step before clipping. Infinite where float16 overflowed and the step was
            skipped.
        max_grad_norm: The norm that gradients were clipped to; 0 clipped none.

    Returns:
        `*_spike_score` and `clipped_steps_percent` in percent (0-100), `spike_window_steps`, `nonfinite_steps`,
        `loss_first`, `loss_final` (mean of the last tenth), `loss_detrended_std`, `grad_norm_max`.
    """
    window = spike_window(len(loss))
    finite = np.isfinite(loss) & np.isfinite(grad_norm)
    norms = _finite(grad_norm)
    limit = max_grad_norm or math.inf
    return {
        "loss_first": float(loss[0]),
        "loss_final": final_mean(loss),
        "loss_detrended_std": detrended_std(loss, window),
        "loss_spike_score": spike_score(loss, window),
        "grad_norm_spike_score": spike_score(grad_norm, window),
        "spike_window_steps": window,
        "nonfinite_steps": int((~finite).sum()),
        "grad_norm_max": float(norms.max()) if len(norms) else None,
        "clipped_steps_percent": 100.0 * float(np.mean(norms > limit)) if len(norms) else None,
    }
