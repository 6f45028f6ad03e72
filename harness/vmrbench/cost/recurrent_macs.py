"""Recurrent layers on the meta device, counted without running every step.

There torch takes an LSTM or a GRU apart into some fifteen operators a step. Every step is the same, so that a sequence
of T steps costs cost(2) + (T - 2) (cost(3) - cost(2)), exactly: what runs once for all steps, the projection of the
input, is a product whose multiply-adds are proportional to T. What two and three steps cost is remembered, so that
a layer is run once for sequences of every length.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from vmrbench.cost.known_calls import META, KnownCalls, Made, key_of

_LAYERS = {torch.lstm, torch.gru, torch.rnn_tanh, torch.rnn_relu}
_FEW, _MORE = 2, 3


class Tally(Protocol):
    """What can count a call by itself, and add a multiple of it."""

    def apart(self, call: Callable[[], Any]) -> tuple[Any, Any]:
        """What the call returned, and its count, which is not added."""

    def add(self, counted: Any, times: int = 1) -> None:
        """Add a count so many times."""


class FewSteps(TorchFunctionMode):
    """Runs recurrent layers on meta tensors for two and for three steps, and gives the result its real length.

    What is packed, not contiguous, or short anyway runs as it is.
    """

    def __init__(self, tally: Tally, known: KnownCalls) -> None:
        super().__init__()
        self._tally, self._known = tally, known

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func in _LAYERS and not kwargs and _is_even(args):
            return self._extrapolated(func, args)
        return func(*args, **(kwargs or {}))

    def _extrapolated(self, func: Any, args: tuple[Any, ...]) -> Any:
        rows, axis = args[0], _time_axis(args)
        steps = rows.shape[axis]
        key = key_of(func, rows.shape[:axis], rows.shape[axis + 1 :], rows.dtype, *args[1:])
        few, more, made = self._known.layer(key, lambda: self._few_and_more(func, args, axis))
        self._tally.add(few, _MORE - steps)
        self._tally.add(more, steps - _FEW)
        outputs, *states = (tensor.again() for tensor in made)
        return (_stretched(outputs, axis, steps), *states)

    def _few_and_more(self, func: Any, args: tuple[Any, ...], axis: int) -> tuple[Any, Any, tuple[Made, ...]]:
        """Counts of two and of three steps, and how the tensors look that three steps make."""
        rows = args[0]

        def of_steps(count: int) -> tuple[Any, Any]:
            shape = (*rows.shape[:axis], count, *rows.shape[axis + 1 :])
            short, _ = self._tally.apart(lambda: rows.new_empty(shape))
            return self._tally.apart(lambda: func(short, *args[1:]))

        (_, few), (tensors, more) = of_steps(_FEW), of_steps(_MORE)
        return few, more, tuple(map(Made.of, tensors))


def _is_even(args: tuple[Any, ...]) -> bool:
    """Whether these are arguments of a layer on long unpacked rows [B, T, D] or [T, B, D] on the meta device."""
    rows = args[0]
    unpacked = isinstance(args[3], bool)  # Of packed rows, this place holds the weights.
    return (
        unpacked
        and rows.device == META
        and rows.dim() == 3
        and rows.is_contiguous()
        and rows.shape[_time_axis(args)] > _MORE
    )


def _time_axis(args: tuple[Any, ...]) -> int:
    return int(args[8])


def _stretched(outputs: Tensor, axis: int, steps: int) -> Tensor:
    """`outputs` with so many steps; its axes lie in memory in the same order, dense, time before a batch of one."""
    shape = (*outputs.shape[:axis], steps, *outputs.shape[axis + 1 :])
    strides = outputs.stride()
    order = sorted(range(len(strides)), key=lambda place: (-strides[place], place != axis))
    return torch.empty_permuted(shape, order, dtype=outputs.dtype, device=META)
