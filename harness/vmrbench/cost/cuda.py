"""Time and memory on a CUDA device: the only place that talks to `torch.cuda`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import torch

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class CudaPeak:
    """Most bytes in use by tensors (allocated) and held by the allocator (reserved) during a call."""

    allocated: int
    reserved: int


class CudaTimer:
    """Milliseconds of a call between two events on the current stream, after everything before it has finished.

    api: `torch.cuda`, or something that behaves like it.
    """

    def __init__(self, device: torch.device, api: Any = torch.cuda) -> None:
        self._device, self._api = device, api

    def __call__(self, call: Callable[[], T]) -> tuple[float, T]:
        """Milliseconds, and what the call returned."""
        start, end = (self._api.Event(enable_timing=True) for _ in range(2))
        self._api.synchronize(self._device)
        start.record()
        result = call()
        end.record()
        self._api.synchronize(self._device)
        return float(start.elapsed_time(end)), result


def cuda_peak(call: Callable[[], object], device: torch.device, api: Any = torch.cuda) -> CudaPeak:
    """Peak memory of a call; what was allocated before it (weights) is part of the peak."""
    api.synchronize(device)
    api.reset_peak_memory_stats(device)
    call()
    api.synchronize(device)
    return CudaPeak(allocated=int(api.max_memory_allocated(device)), reserved=int(api.max_memory_reserved(device)))


def cuda_facts(device: torch.device, api: Any = torch.cuda) -> dict[str, Any]:
    """Name, memory, compute capability and CUDA version of a device."""
    found = api.get_device_properties(device)
    return {
        "gpu": found.name,
        "gpu_memory_bytes": int(found.total_memory),
        "gpu_capability": f"{found.major}.{found.minor}",
        "cuda": torch.version.cuda,
    }
