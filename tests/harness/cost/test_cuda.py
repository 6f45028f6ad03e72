"""CUDA timing and memory against a device that only keeps a diary."""

from __future__ import annotations

from types import SimpleNamespace

import torch

from vmrbench.cost.cuda import CudaTimer, cuda_facts, cuda_peak
from vmrbench.cost.latency import timer_for

DEVICE = torch.device("cuda", 0)


class FakeCuda:
    def __init__(self) -> None:
        self.diary: list[str] = []

    def Event(self, *, enable_timing: bool) -> SimpleNamespace:
        number = sum(line == "event" for line in self.diary)
        self.diary.append("event")
        return SimpleNamespace(
            record=lambda: self.diary.append(f"record {number}"),
            elapsed_time=lambda other: 12.5 if enable_timing else 0.0,
        )

    def synchronize(self, device: torch.device) -> None:
        self.diary.append("synchronize")

    def reset_peak_memory_stats(self, device: torch.device) -> None:
        self.diary.append("reset")

    def max_memory_allocated(self, device: torch.device) -> int:
        return 1000

    def max_memory_reserved(self, device: torch.device) -> int:
        return 4096

    def get_device_properties(self, device: torch.device) -> SimpleNamespace:
        return SimpleNamespace(name="Fake 1", total_memory=8, major=9, minor=0)


def test_a_call_is_timed_between_events_on_an_idle_device() -> None:
    api = FakeCuda()

    CudaTimer(DEVICE, api)(lambda: api.diary.append("call"))

    assert api.diary == ["event", "event", "synchronize", "record 0", "call", "record 1", "synchronize"]


def test_the_time_is_what_the_events_say() -> None:
    assert CudaTimer(DEVICE, FakeCuda())(lambda: "result") == (12.5, "result")


def test_the_peak_is_reset_before_the_call_and_read_after_the_device_is_done() -> None:
    api = FakeCuda()

    peak = cuda_peak(lambda: api.diary.append("call"), DEVICE, api)

    assert api.diary == ["synchronize", "reset", "call", "synchronize"]
    assert (peak.allocated, peak.reserved) == (1000, 4096)


def test_the_gpu_is_described() -> None:
    facts = cuda_facts(DEVICE, FakeCuda())

    assert (facts["gpu"], facts["gpu_memory_bytes"], facts["gpu_capability"]) == ("Fake 1", 8, "9.0")


def test_a_cuda_device_gets_the_event_timer() -> None:
    assert isinstance(timer_for(DEVICE), CudaTimer)
