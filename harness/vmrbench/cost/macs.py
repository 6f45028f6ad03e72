"""Multiply-adds of a call, counted by torch's own formulas, with a list of what they leave out.

One multiply and add counts once; GFLOPs are twice the GMACs. Nothing is estimated from parameter counts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

from vmrbench.cost.known_calls import KnownCalls, call_key
from vmrbench.cost.recurrent_macs import FewSteps

# They only copy or place numbers: there is nothing to count.
_MOVES = {
    *("alias", "cat", "clone", "constant_pad_nd", "copy_", "_to_copy", "embedding", "gather", "index", "index_select"),
    *("lift_fresh", "masked_fill", "repeat", "roll", "scatter", "select_scatter", "set_", "slice_scatter", "stack"),
    *("_local_scalar_dense", "_pack_padded_sequence", "_unsafe_view", "index_put_", "new_zeros", "new_full"),
    *("empty_like", "full_like", "ones_like", "zeros_like"),
}


@dataclass(frozen=True, kw_only=True)
class Macs:
    """Multiply-adds of one call.

    uncounted: operators that ran and have no formula, with how often; neither pointwise operators nor views nor
    copies. Sums, norms, softmax and sorting are expected here; a fused layer or a matrix decomposition is not.
    """

    value: int
    uncounted: Mapping[str, int]


@contextmanager
def countable() -> Iterator[None]:
    """Keep attention and recurrent layers on operators that counters know.

    Switches off the fused encoder fast path, oneDNN and fused attention: with them on, both torch's counter and
    fvcore silently return 0 for attention, LSTM and whole encoder layers.
    """
    fast_path = torch.backends.mha.get_fastpath_enabled()
    onednn = torch.backends.mkldnn.enabled
    torch.backends.mha.set_fastpath_enabled(False)
    # Not `mkldnn.flags`, which also sets TF32 and warns where the build has none.
    torch.backends.mkldnn.enabled = False  # type: ignore[assignment]  # a property, annotated as its descriptor
    try:
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast_path)
        torch.backends.mkldnn.enabled = onednn


def count_macs(fn: Callable[..., object], *args: Any, known: KnownCalls | None = None) -> Macs:
    """Multiply-adds of `fn(*args)`, without gradients.

    Modules and tensors live on the CPU, or all on the `meta` device, where only shapes are computed and the count
    is the same at a fraction of the time. Put modules in evaluation mode before.

    Args:
        fn: what is counted; args: its arguments.
        known: what counts on the meta device share, so that later ones are faster; each has its own where None.

    Source:
        The formulas of torch.utils.flop_counter, halved. Its own mode is not used because it hooks modules, and
        those hooks fail on views of parameters that require a gradient.

    Example:
        >>> count_macs(torch.nn.Linear(3, 4), torch.zeros(2, 3)).value
        24
    """
    shared = known or KnownCalls()
    counting = _Counting(shared)
    with countable(), torch.no_grad(), counting, FewSteps(counting, shared):
        fn(*args)
    return Macs(value=counting.count.flops // 2, uncounted=dict(sorted(counting.count.uncounted.items())))


def macs_by_length(run: Callable[[int], object], lengths: Iterable[int]) -> dict[int, Macs]:
    """Count `run(length)` once for each distinct length, so that every sample is charged at its real length."""
    return {length: count_macs(run, length) for length in sorted(set(lengths))}


@dataclass
class _Count:
    flops: int = 0
    uncounted: Counter[str] = field(default_factory=Counter)


class _Counting(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch leaves its class hook untyped
    def __init__(self, known: KnownCalls) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        self.count = _Count()
        self._known = known

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        key = call_key(func, args, kwargs)
        call = self._known.find(key)
        if call is not None:
            self._charge(call.flops, call.uncounted)
            return call.again()
        formula = flop_registry.get(func.overloadpacket)
        if formula is None:
            # Under inference_mode composite operators arrive whole.
            with self:
                parts = func.decompose(*args, **kwargs)
            if parts is not NotImplemented:
                return parts
        out = func(*args, **kwargs)
        flops = 0 if formula is None else int(formula(*args, **kwargs, out_val=out))
        name = _name(func) if formula is None and _computes(func, args) else None
        self._known.keep(key, out, flops, name)
        self._charge(flops, name)
        return out

    def apart(self, call: Callable[[], Any]) -> tuple[Any, _Count]:
        """What the call returned, and its count, which is not added."""
        before, self.count = self.count, _Count()
        out = call()
        counted, self.count = self.count, before
        return out, counted

    def add(self, counted: _Count, times: int = 1) -> None:
        """Add a count so many times, or take it away."""
        self.count.flops += times * counted.flops
        for name, often in counted.uncounted.items():
            self.count.uncounted[name] += times * often

    def _charge(self, flops: int, name: str | None) -> None:
        self.count.flops += flops
        if name is not None:
            self.count.uncounted[name] += 1


def _name(func: Any) -> str:
    return str(func.overloadpacket).removeprefix("aten.")


def _computes(func: Any, args: tuple[Any, ...]) -> bool:
    if torch.Tag.pointwise in func.tags or func.is_view or func.overloadpacket.__name__ in _MOVES:
        return False
    return any(isinstance(leaf, torch.Tensor) for leaf in tree_leaves(args))
