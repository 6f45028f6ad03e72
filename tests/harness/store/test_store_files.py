"""Tests of records and of files that are whole or not there."""

from __future__ import annotations

import json

import pytest

from vmrbench.errors import DataError
from vmrbench.store import FORMAT, read_record, write_json, write_record


def test_a_record_is_read_as_it_was_written_with_its_format(tmp_path):
    path = tmp_path / "deep" / "record.json"

    write_record(path, {"run": "a", "value": None})

    assert read_record(path) == {"format": FORMAT, "run": "a", "value": None}


def test_a_record_of_another_format_is_refused(tmp_path):
    path = tmp_path / "record.json"
    path.write_text(json.dumps({"format": 99}))

    with pytest.raises(DataError, match="format 99, expected 2"):
        read_record(path)


@pytest.mark.parametrize("text", ["", "{", "[1]"])
def test_a_record_that_is_not_one_is_refused(tmp_path, text):
    path = tmp_path / "record.json"
    path.write_text(text)

    with pytest.raises(DataError, match=r"record\.json"):
        read_record(path)


def test_a_record_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(DataError, match="there is no such file"):
        read_record(tmp_path / "record.json")


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, {"a": 1})

    with pytest.raises(ValueError, match="nan"):
        write_json(path, {"a": float("nan")})

    assert json.loads(path.read_text()) == {"a": 1}
    assert [file.name for file in tmp_path.iterdir()] == ["a.json"]
