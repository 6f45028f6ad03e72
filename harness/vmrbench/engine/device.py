"""Which device and precision a run uses; a machine that lacks what was asked for gets one clear line."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch

from vmrbench.errors import DeviceError

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def resolve_device(name: str) -> torch.device:
    """`auto` is CUDA where there is one, otherwise the CPU.

    Raises:
        DeviceError: CUDA was asked for and this machine has none, or not so many.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise DeviceError(
            f"device: {name!r} was asked for, but this machine offers no CUDA device; use 'auto' or 'cpu'"
        )
    device = torch.device(name)
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        count = torch.cuda.device_count()
        raise DeviceError(
            f"device: {name!r} was asked for, but this machine offers {count}: cuda:0 to cuda:{count - 1}"
        )
    return device


def autocast(device: torch.device, precision: str) -> AbstractContextManager[object]:
    """Context in which forward passes run at that precision.

    Raises:
        DeviceError: fp16 on a CPU, which has no kernels for it.
    """
    if precision == "fp32":
        return nullcontext()
    if precision == "fp16" and device.type == "cpu":
        raise DeviceError("precision: 'fp16' needs a CUDA device; use 'bf16' or 'fp32' on the CPU")
    return torch.autocast(device.type, dtype=DTYPES[precision])
