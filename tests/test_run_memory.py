"""Memory of whole runs, on processes whose size is known."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from vmrbench.catalog import load_catalog
from vmrbench.config import load_config

ROOT = Path(__file__).resolve().parents[1]
# A parent that holds one block of memory, and a child that holds another, for as long as it takes to be seen.
HOLDS = "import sys, time; block = b'x' * int(sys.argv[1]); print(flush=True); time.sleep(1.5)"
WITH_CHILD = (
    "import subprocess, sys, time; block = b'x' * int(sys.argv[1]); "
    f"subprocess.run([sys.executable, '-c', {HOLDS!r}, sys.argv[1]])"
)
BLOCK = 200_000_000


@pytest.fixture(scope="module")
def example(load_example: Callable[[str], Any]) -> Any:
    return load_example("run_memory")


def test_all_processes_of_a_run_are_added_up(example: Any) -> None:
    run = subprocess.Popen([sys.executable, "-c", WITH_CHILD, str(BLOCK)], stdout=subprocess.DEVNULL)

    seen = list(example._looks(run))

    together, largest = max(map(sum, seen)), max(map(max, seen))
    assert run.returncode == 0
    assert 2 * BLOCK < together < 3 * BLOCK
    assert BLOCK < largest < 1.5 * BLOCK


def test_the_page_says_what_ran_and_which_runs_stay_under_the_cap(example: Any) -> None:
    config = load_config(ROOT / "examples" / "hour.yaml")
    low = example.Peak(backbone="snag", together=2_500_000_000, largest=2_000_000_000, seconds=90.0)
    high = replace(low, backbone="vslnet", together=4_100_000_000)
    died = replace(low, backbone="eatr", failure="killed by signal 9")

    page = example.page(config, config.resolve(load_catalog()), [low, high, died])

    assert "1 of 3 runs stay under 4 GB; the highest peak is 4.10 GB." in page
    assert "arms `all`, `spotvmr`, `spotvmr_own`" in page
    assert "| `snag` | 2.50 | 2.00 | 1.5 |" in page
    assert "| `eatr` | 2.50 | 2.00 | failed: killed by signal 9 |" in page


def test_the_report_has_every_backbone_of_the_sweep(example: Any) -> None:
    report = (ROOT / "reports" / "run_memory.md").read_text(encoding="utf-8")
    cells = load_config(ROOT / "examples" / "hour.yaml").resolve(load_catalog())

    models = [name for name, offer in load_catalog().backbones.items() if offer.spec.reads_features]
    assert sorted(example._ids(cells, "backbone")) == sorted(models)
    assert all(f"| `{name}` |" in report for name in models)
