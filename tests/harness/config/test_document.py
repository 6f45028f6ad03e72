"""Tests of reading YAML: plain data, places, inheritance."""

from __future__ import annotations

from pathlib import Path

import pytest

from vmrbench.config.document import parse_document, read_document
from vmrbench.config.places import Place
from vmrbench.errors import ConfigError

WHOLE = Place(source="a.yaml", folder=Path())


def test_every_key_and_item_knows_its_line():
    document = parse_document("a: 1\nb:\n  - c: 2\n  -\n    d: 3\n", WHOLE)

    assert document.data == {"a": 1, "b": [{"c": 2}, {"d": 3}]}
    assert document.where(("b", 0, "c")) == "a.yaml:3: b[0].c"
    assert document.where(("b", 1, "d")) == "a.yaml:5: b[1].d"


def test_a_key_nobody_wrote_is_placed_at_its_parent():
    document = parse_document("a:\n  b: 1\n", WHOLE)

    assert document.where(("a", "c", "d")) == "a.yaml:1: a.c.d"


def test_values_are_plain_python():
    data = parse_document("a: 0x10\nb: 1.0e-4\nc: 'x'\nd: null\ne: true\n", WHOLE).data

    assert data == {"a": 16, "b": 0.0001, "c": "x", "d": None, "e": True}
    assert [type(value) for value in data.values()] == [int, float, str, type(None), bool]


def test_yes_and_no_are_text():
    assert parse_document("a: yes\nb: no\n", WHOLE).data == {"a": "yes", "b": "no"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: 2\na: 3\n", r'^a\.yaml:3: found duplicate key "a" with value "3" .*; keep one of them$'),
        ("a: [1\nb: 2\n", r"^a\.yaml:\d: not valid YAML: "),
        ("a: .nan\n", r"^a\.yaml:1: a: found nan, expected a finite number$"),
        ("a: 2020-01-01\n", r"^a\.yaml:1: a: found a date, expected text, a number.*; quote it$"),
        ("a: !!python/name:os.system x\n", r"^a\.yaml:1: a: found a tagged value"),
        ("a: {1: 2}\n", r"^a\.yaml:1: a: the key 1 is not text; quote it$"),
        ("- a\n", r"^a\.yaml: found a list, expected keys such as"),
        ("", r"^a\.yaml: found nothing, expected keys such as"),
    ],
)
def test_what_is_not_plain_data_is_refused_in_one_line(text, message):
    with pytest.raises(ConfigError, match=message) as caught:
        parse_document(text, WHOLE)

    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there_is_refused(folder):
    with pytest.raises(ConfigError, match=r"^nowhere\.yaml: there is no such file"):
        read_document(Path("nowhere.yaml"))


def test_inherited_mappings_are_merged_and_lists_replaced(write):
    write(name="base.yaml", rest="a: {x: 1, y: 2}\nb: [1, 2, 3]\nc: 5\n")
    path = write(rest="inherit: base.yaml\na: {y: 3}\nb: [4]\n")

    assert read_document(path).data == {"a": {"x": 1, "y": 3}, "b": [4], "c": 5}


def test_inherited_values_keep_their_file_and_line(write):
    write(name="base.yaml", rest="a:\n  x: 1\n  y: 2\nb: [1, 2]\n")
    document = read_document(write(rest="inherit: base.yaml\na: {y: 3}\nb: [4]\n"))

    assert document.where(("a", "x")) == "base.yaml:2: a.x"
    assert document.where(("a", "y")) == "sweep.yaml:2: a.y"
    assert document.where(("b", 1)) == "sweep.yaml:3: b[1]"


def test_a_circle_of_inheritance_is_refused(write):
    write(name="a.yaml", rest="inherit: b.yaml\n")
    write(name="b.yaml", rest="inherit: a.yaml\n")

    with pytest.raises(
        ConfigError, match=r"b\.yaml:1: inherit: files inherit .* circle: a\.yaml -> b\.yaml -> a\.yaml"
    ):
        read_document(Path("a.yaml"))


def test_a_missing_parent_is_placed_where_it_was_named(write):
    with pytest.raises(ConfigError, match=r"sweep\.yaml:2: inherit: there is no file 'gone\.yaml'"):
        read_document(write(rest="name: a\ninherit: gone.yaml\n"))
