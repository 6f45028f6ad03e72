"""Energy of a call, where the machine has a counter: NVIDIA GPUs through NVML, if `pynvml` can be imported."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Energy:
    """Joules the whole GPU drew during a call, idle draw included; None with a reason where there is no counter."""

    joules: float | None
    reason: str | None = None


def measure_energy(call: Callable[[], object], gpu: int = 0, nvml: Any = None) -> Energy:
    """Run a call, once, and read the counter before and after.

    Args:
        call: long enough for the counter to move (tenths of a second); it must wait for the device itself.
        gpu: number of the GPU.
        nvml: the `pynvml` module, or something that behaves like it; imported where not given.
    """
    nvml, reason = (nvml, None) if nvml is not None else _nvml()
    if nvml is None:
        call()
        return Energy(joules=None, reason=reason)
    read, reason = _counter(nvml, gpu)
    before = read() if read else 0.0
    call()
    if read is None:
        return Energy(joules=None, reason=reason)
    joules = read() - before
    nvml.nvmlShutdown()
    return Energy(joules=joules) if joules > 0 else Energy(joules=None, reason="the call was too short for the counter")


def nvml_facts(gpu: int = 0, nvml: Any = None) -> dict[str, Any]:
    """Driver, clocks (MHz) and throttle reasons (bit mask) of a GPU; empty where NVML cannot be asked."""
    nvml = nvml if nvml is not None else _nvml()[0]
    if nvml is None:
        return {}
    try:
        nvml.nvmlInit()
        handle = nvml.nvmlDeviceGetHandleByIndex(gpu)
        facts = {
            "gpu_driver": str(nvml.nvmlSystemGetDriverVersion()),
            "gpu_clock_mhz": int(nvml.nvmlDeviceGetClockInfo(handle, nvml.NVML_CLOCK_SM)),
            "gpu_memory_clock_mhz": int(nvml.nvmlDeviceGetClockInfo(handle, nvml.NVML_CLOCK_MEM)),
            "gpu_throttle": int(nvml.nvmlDeviceGetCurrentClocksThrottleReasons(handle)),
        }
        nvml.nvmlShutdown()
    except nvml.NVMLError as error:
        return {"gpu_nvml": f"NVML cannot be asked: {error}"}
    return facts


def _nvml() -> tuple[Any, str | None]:
    try:
        return importlib.import_module("pynvml"), None
    except ImportError:
        return None, "pynvml is not installed, and no other energy counter is read"


def _counter(nvml: Any, gpu: int) -> tuple[Callable[[], float] | None, str | None]:
    """A reader of joules since the driver was loaded, or why there is none."""
    try:
        nvml.nvmlInit()
        handle = nvml.nvmlDeviceGetHandleByIndex(gpu)
        nvml.nvmlDeviceGetTotalEnergyConsumption(handle)
    except nvml.NVMLError as error:
        return None, f"NVML has no energy counter here: {error}"
    return lambda: float(nvml.nvmlDeviceGetTotalEnergyConsumption(handle)) / 1e3, None
