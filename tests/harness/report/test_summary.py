import json
from dataclasses import replace
from pathlib import Path

import pytest

from vmrbench.errors import DataError
from vmrbench.report.summary import SweepSummary, read_summary, summary_from_json, summary_to_json, write_summary


def test_a_summary_survives_its_file(sweep: SweepSummary, tmp_path: Path) -> None:
    write_summary(sweep, tmp_path / "sweep.json")

    assert read_summary(tmp_path / "sweep.json") == sweep


def test_the_text_is_plain_json_with_a_format_number(sweep: SweepSummary) -> None:
    assert json.loads(summary_to_json(sweep))["format"] == 2


def test_a_row_takes_one_line(sweep: SweepSummary) -> None:
    lines = summary_to_json(sweep).splitlines()

    assert sum(line.startswith('{"dataset"') for line in lines) == len(sweep.rows)


def test_another_format_is_refused(sweep: SweepSummary) -> None:
    text = summary_to_json(replace(sweep, format=7))

    with pytest.raises(DataError, match=r"old\.json: format is 7, expected 2"):
        summary_from_json(text, "old.json")


def test_a_wrong_value_is_named_by_its_place(sweep: SweepSummary) -> None:
    plain = json.loads(summary_to_json(sweep))
    plain["rows"][2]["seeds"] = "none"

    with pytest.raises(DataError, match=r"rows\.2\.seeds"):
        summary_from_json(json.dumps(plain))


def test_text_that_is_no_json_is_refused() -> None:
    with pytest.raises(DataError, match="sweep summary: is no JSON"):
        summary_from_json("{")


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.json: cannot be read"):
        read_summary(tmp_path / "none.json")
