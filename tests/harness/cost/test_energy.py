"""Energy against a counter that the test moves."""

from __future__ import annotations

import sys

import pytest

from vmrbench.cost.energy import Energy, measure_energy, nvml_facts


class FakeNvml:
    """A GPU whose counter stands at 1,000 J; `supported=False` has no counter."""

    NVML_CLOCK_SM, NVML_CLOCK_MEM = 1, 2

    class NVMLError(Exception):
        pass

    def __init__(self, *, supported: bool = True) -> None:
        self.millijoules, self.supported = 1_000_000, supported

    def nvmlInit(self) -> None: ...

    def nvmlShutdown(self) -> None: ...

    def nvmlDeviceGetHandleByIndex(self, gpu: int) -> int:
        return gpu

    def nvmlDeviceGetTotalEnergyConsumption(self, handle: int) -> int:
        if not self.supported:
            raise self.NVMLError("Not Supported")
        return self.millijoules

    def nvmlSystemGetDriverVersion(self) -> str:
        return "600.1"

    def nvmlDeviceGetClockInfo(self, handle: int, which: int) -> int:
        return 1000 * which

    def nvmlDeviceGetCurrentClocksThrottleReasons(self, handle: int) -> int:
        return 4


def test_energy_is_how_far_the_counter_moved() -> None:
    nvml = FakeNvml()

    def call() -> None:
        nvml.millijoules += 2_500

    assert measure_energy(call, nvml=nvml) == Energy(joules=2.5)


def test_a_gpu_without_a_counter_gives_none_with_the_reason() -> None:
    found = measure_energy(lambda: None, nvml=FakeNvml(supported=False))

    assert found == Energy(joules=None, reason="NVML has no energy counter here: Not Supported")


def test_a_counter_that_did_not_move_gives_none_not_zero() -> None:
    assert measure_energy(lambda: None, nvml=FakeNvml()).joules is None


def test_without_nvml_the_reason_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)

    found = measure_energy(lambda: None)

    assert found == Energy(joules=None, reason="pynvml is not installed, and no other energy counter is read")


def test_the_call_runs_once_even_where_nothing_can_be_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)
    calls: list[int] = []

    measure_energy(lambda: calls.append(1))

    assert calls == [1]


def test_driver_clocks_and_throttling_are_read() -> None:
    assert nvml_facts(nvml=FakeNvml()) == {
        "gpu_driver": "600.1",
        "gpu_clock_mhz": 1000,
        "gpu_memory_clock_mhz": 2000,
        "gpu_throttle": 4,
    }
