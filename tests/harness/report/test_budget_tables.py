"""Tests of the tables of arms that keep the same share of clips."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd

from vmrbench.report.budget_tables import PAIRS_UP_TO, budget_parts
from vmrbench.report.rows import FinishedRun
from vmrbench.report.summary import SweepSummary

Summarise = Callable[..., SweepSummary]


def arm(name: str, hits: int, validation: float, ratio: float | None = 0.25) -> FinishedRun:
    """Right on the first `hits` of ten queries."""
    cell = {
        "dataset": {"id": "sim", "name": "simulated"},
        "backbone": {"id": "b", "name": "b"},
        "trimmer": {"id": name, "name": name, "options": {} if ratio is None else {"keep_ratio": ratio}},
        "seed": 0,
    }
    training = {"validation": {"1": 0.0, "2": validation}, "selected_epoch": 2}
    ids = [f"q{number}" for number in range(10)]
    scores = pd.DataFrame({"sample_id": ids, "video_id": ids, "source_id": ids})
    scores["R1@0.5"] = [100.0] * hits + [0.0] * (10 - hits)
    return FinishedRun(record={"run_id": name, "cell": cell, "status": "VALID", "training": training}, per_query=scores)


def table(parts: list[str]) -> list[dict[str, str]]:
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in parts[1].splitlines()]
    return [dict(zip(lines[0], line, strict=True)) for line in lines[2:]]


def test_few_arms_are_shown_in_all_their_pairs(summarise: Summarise) -> None:
    runs = [arm("all", 10, 60.0, None), arm("uniform", 4, 40.0), arm("b", 6, 50.0), arm("c", 8, 55.0)]

    found = table(budget_parts(summarise(runs), "sim"))

    pairs = [(row["trimmer"], row["against"], row["difference, points"].split("<br>")[0]) for row in found]
    assert pairs == [("b", "uniform", "+20.0"), ("c", "uniform", "+40.0"), ("c", "b", "+20.0")]
    assert found[-1]["R1@0.5, share of the reference's"] == "80.0 %"


def test_of_many_arms_each_stands_against_the_first_and_the_best_on_validation(summarise: Summarise) -> None:
    # `late` is best where it is reported, `early` where it is validated, and `oracle` reads labels.
    many = [arm(f"t{number}", 5, 10.0 + number) for number in range(PAIRS_UP_TO - 3)]
    runs = [arm("uniform", 4, 40.0), *many, arm("early", 7, 70.0), arm("late", 9, 50.0), arm("oracle", 10, 99.0)]

    parts = budget_parts(summarise([arm("all", 10, 60.0, None), *runs]), "sim")
    found = {row["trimmer"].split()[0]: row for row in table(parts)}

    assert list(found) == [run.key[2] for run in runs]
    assert (found["late"]["best other"], found["late"]["− best other, points"].split("<br>")[0]) == ("early", "+20.0")
    assert (found["early"]["best other"], found["early"]["− best other, points"].split("<br>")[0]) == ("late", "-20.0")
    assert found["late"]["− first, points"].split("<br>")[0] == "+50.0"
    assert found["uniform"]["− first, points"] == "–"
    assert found["t0"]["validation ↑"] == "10.0"


def test_a_difference_is_the_negative_of_its_reverse_with_its_interval(summarise: Summarise) -> None:
    many = [arm(f"t{number}", 5, 10.0) for number in range(PAIRS_UP_TO)]
    found = table(budget_parts(summarise([arm("first", 4, 5.0), *many, arm("last", 8, 60.0)]), "sim"))

    forward = next(row for row in found if row["trimmer"] == "last")["− first, points"]
    backward = next(row for row in found if row["trimmer"] == "first")["− best other, points"]
    value, low, high = (
        float(part) for part in forward.translate(str.maketrans("[],", "   ")).replace("<br>", " ").split()
    )
    assert backward == f"{-value:+.1f}<br>[{-high:+.1f}, {-low:+.1f}]"


def test_arms_of_different_budgets_are_not_compared(summarise: Summarise) -> None:
    assert budget_parts(summarise([arm("a", 4, 40.0, 0.5), arm("b", 5, 50.0, 0.25)]), "sim") == []
