from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

PATH = Path(__file__).resolve().parents[1] / "examples" / "feature_throughput.py"


@pytest.fixture(scope="module")
def example(load_example: Callable[[str], Any]) -> Any:
    return load_example("feature_throughput")


@pytest.mark.slow
def test_every_arm_reads_every_byte_in_every_round(example: Any, tmp_path: Path) -> None:
    (tmp_path / "f").mkdir()
    example.make_features(tmp_path / "f", videos=3, rows=4, width=5, compress=True)
    annotations = example.make_annotations(3, 4)

    taken = example.measure(example.arms_of(tmp_path / "f", tmp_path / "cache", annotations), 2)

    assert len(taken) == (6 if hasattr(os, "posix_fadvise") else 3)
    assert {size for rounds in taken.values() for _, size in rounds} == {3 * 4 * 5 * 4}
    assert {len(rounds) for rounds in taken.values()} == {2}


def test_rates_are_medians_of_rounds(example: Any) -> None:
    rounds = [(1.0, 10**9), (2.0, 10**9), (4.0, 10**9)]

    assert "| a | 0.500 [0.250, 1.000] | 50 [25, 100] | 3 |" in example.table({"a": rounds}, 100)


@pytest.mark.slow
def test_example_prints_a_table(example: Any, capsys: pytest.CaptureFixture[str]) -> None:
    example.main(["--videos", "2", "--rows", "3", "--width", "4", "--rounds", "1"])

    assert len(re.findall(r"^\| npz one by one, checked, warm \|", capsys.readouterr().out, re.MULTILINE)) == 1
