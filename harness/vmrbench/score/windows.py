"""What can be wrong with a predicted window."""

from __future__ import annotations

import math
from collections.abc import Sequence

Window = tuple[float, float, float]

# Published files round times to hundredths and finer; a window may end so much after its video, in seconds.
ROUNDING_SECONDS = 0.01


def not_finite(window: Sequence[float]) -> str | None:
    """What is wrong with a window (start s, end s, and its score where it has one) that is not finite, else None."""
    finite = all(math.isfinite(number) for number in window)
    return None if finite else f"window {list(window)} holds a number that is not finite"


def window_fault(window: Window) -> str | None:
    """What is wrong with a window (start s, end s, score) whatever its video, None where nothing is."""
    start, end, _ = window
    fault = not_finite(window)
    if fault:
        return fault
    if end < start:
        return f"window {[start, end]} ends before it starts"
    if end == start:
        return f"window {[start, end]} has no length"
    return None


def leaves_video(window: Window, duration: float) -> str | None:
    """How a window (start s, end s, score) leaves its video of `duration` seconds, None where it does not."""
    start, end, _ = window
    if start < -ROUNDING_SECONDS:
        return f"window {[start, end]} starts before the video"
    if max(start, end) > duration + ROUNDING_SECONDS:
        return f"window {[start, end]} leaves the video of {duration:g} s"
    return None
