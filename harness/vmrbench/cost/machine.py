"""The machine a number was measured on, and a key under which numbers of the same machine may be compared."""

from __future__ import annotations

import hashlib
import json
import os
import platform
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import psutil
import torch

from vmrbench.cost.cuda import cuda_facts
from vmrbench.cost.energy import nvml_facts

CPUINFO = Path("/proc/cpuinfo")
GOVERNOR = Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
LIBRARIES = ("torch", "numpy", "mmengine", "scipy", "fvcore")

# What changes a timing and stays the same from run to run; clocks and throttling are facts of a moment.
KEYED = (
    "cpu",
    "cores",
    "threads",
    "governor",
    "os",
    "python",
    "libraries",
    "device",
    "gpu",
    "gpu_memory_bytes",
    "gpu_driver",
    "cuda",
)


def machine_facts(device: torch.device | str = "cpu") -> dict[str, Any]:
    """Processor, memory, system, library versions, and the GPU where `device` is one. Plain values, for the record.

    A fact that cannot be read is None. Neither host name nor user name is read.
    """
    chosen = torch.device(device)
    facts: dict[str, Any] = {
        "cpu": cpu_model(),
        "cores": os.cpu_count(),
        "usable_cores": len(psutil.Process().cpu_affinity() or []) if hasattr(psutil.Process, "cpu_affinity") else None,
        "threads": torch.get_num_threads(),
        "memory_bytes": int(psutil.virtual_memory().total),
        "governor": GOVERNOR.read_text().strip() if GOVERNOR.is_file() else None,
        "os": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": platform.python_version(),
        "libraries": {name: _version(name) for name in LIBRARIES},
        "device": chosen.type,
    }
    if chosen.type == "cuda":
        facts |= cuda_facts(chosen) | nvml_facts(chosen.index or 0)
    return facts


def machine_line(facts: Mapping[str, Any]) -> str:
    """The processor or the GPU, threads, and torch's version, in one line."""
    processor = f"{facts['cpu']}, {facts['cores']} cores, threads: {facts['threads']}"
    return f"{facts.get('gpu', processor)}, torch {facts['libraries']['torch']}"


def machine_key(facts: Mapping[str, Any]) -> str:
    """Twelve hexadecimal digits that stay the same as long as timings may be compared."""
    kept = {name: facts.get(name) for name in KEYED}
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()[:12]


def cpu_model(cpuinfo: Path = CPUINFO) -> str:
    """Name of the processor."""
    if cpuinfo.is_file():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
