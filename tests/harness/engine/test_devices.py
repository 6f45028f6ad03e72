"""Tests of what is said where a machine lacks a device or a precision."""

from __future__ import annotations

import pytest
import torch

from vmrbench.engine.device import autocast, resolve_device
from vmrbench.errors import DeviceError


@pytest.fixture
def cuda_devices(monkeypatch: pytest.MonkeyPatch):
    def offer(count: int) -> None:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: count > 0)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: count)

    return offer


def test_auto_is_cuda_where_there_is_one(cuda_devices) -> None:
    cuda_devices(1)
    assert resolve_device("auto") == torch.device("cuda")

    cuda_devices(0)
    assert resolve_device("auto") == torch.device("cpu")


@pytest.mark.parametrize("name", ["cuda", "cuda:0"])
def test_cuda_is_refused_where_there_is_none(cuda_devices, name: str) -> None:
    cuda_devices(0)

    with pytest.raises(DeviceError, match=f"device: '{name}' was asked for, but this machine offers no CUDA device"):
        resolve_device(name)


def test_a_cuda_device_beyond_the_last_is_refused(cuda_devices) -> None:
    cuda_devices(2)

    assert resolve_device("cuda:1") == torch.device("cuda:1")
    with pytest.raises(DeviceError, match="'cuda:2' was asked for, but this machine offers 2: cuda:0 to cuda:1"):
        resolve_device("cuda:2")


def test_half_precision_on_the_cpu_is_refused() -> None:
    with pytest.raises(DeviceError, match="precision: 'fp16' needs a CUDA device; use 'bf16' or 'fp32' on the CPU"):
        autocast(torch.device("cpu"), "fp16")


@pytest.mark.parametrize(("precision", "dtype"), [("fp32", torch.float32), ("bf16", torch.bfloat16)])
def test_products_are_computed_in_the_precision_asked_for(precision: str, dtype: torch.dtype) -> None:
    with autocast(torch.device("cpu"), precision):
        product = torch.ones(2, 2) @ torch.ones(2, 2)

    assert product.dtype == dtype
