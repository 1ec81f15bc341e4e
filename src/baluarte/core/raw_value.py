"""From an encoded number back to a value of the event: the nearest that is encoded beyond it."""

from __future__ import annotations

import math
from collections.abc import Callable

MAX_RAW = 3.0e38  #: values are looked for within float32's range
_STEPS = 1_200  #: halvings that two float64 can be apart, with room


def raw_value(
    encode: Callable[[float], float], target: float, *, start: float, up: bool, whole: bool
) -> float | None:
    """The value nearest to ``start`` that ``encode`` takes to the target or beyond it.

    Args:
        encode: rises with its argument, or at least never falls.
        up: whether the target lies above what ``start`` is encoded as.
        whole: whether only whole numbers are values.

    Returns:
        None where no value within range reaches the target.
    """
    sign = 1.0 if up else -1.0

    def there(value: float) -> bool:
        return sign * (encode(value) - target) >= 0.0

    short, step = start, max(1.0, abs(start)) * 2.0**-20
    while True:
        far = start + sign * step
        if abs(far) > MAX_RAW:
            return None
        if there(far):
            break
        short, step = far, step * 4.0
    for _ in range(_STEPS):
        middle = short + (far - short) / 2.0
        if middle in (short, far):
            break
        if there(middle):
            far = middle
        else:
            short = middle
    if not whole:
        return far
    rounded = float(math.ceil(far) if up else math.floor(far))
    return rounded if abs(rounded) <= MAX_RAW and there(rounded) else None
