"""Tests of canonical JSON and fingerprints."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmrbench.identity import canonical, fingerprint, identity_of_options

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@dataclass(frozen=True, kw_only=True)
class Options:
    width: int = 4
    folder: Path = Path("anywhere")
    listing: str = field(default="list.txt", metadata={"path": True})
    workers: int = field(default=2, metadata={"identity": False})
    later: str = field(default="as before", metadata={"identity": "if changed"})


def test_canonical_json_is_sorted_and_without_spaces():
    assert canonical({"b": [1, 2.5], "a": {"d": None, "c": True}}) == '{"a":{"c":true,"d":null},"b":[1,2.5]}'


def test_fingerprint_is_the_sha256_of_the_canonical_json():
    assert fingerprint({"a": 1}) == hashlib.sha256(b'{"a":1}').hexdigest()


def test_whole_numbers_and_floats_are_told_apart():
    assert fingerprint({"a": 1}) != fingerprint({"a": 1.0})


def test_a_dataclass_is_its_fields():
    @dataclass(frozen=True)
    class Pair:
        a: int
        b: tuple[int, ...]

    assert canonical(Pair(1, (2, 3))) == '{"a":1,"b":[2,3]}'


@given(st.dictionaries(st.text(), PLAIN))
def test_order_of_keys_does_not_change_the_fingerprint(value):
    backwards = dict(reversed(value.items()))

    assert fingerprint(backwards) == fingerprint(value)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_a_float_that_is_not_finite_is_refused_with_its_place(value):
    with pytest.raises(ValueError, match=r"value\.a\[1\]"):
        canonical({"a": [0, value]})


@pytest.mark.parametrize("value", [Path("x"), {1, 2}, b"x", object()])
def test_what_is_not_plain_data_is_refused(value):
    with pytest.raises(TypeError, match=r"value\.a"):
        canonical({"a": value})


def test_a_key_that_is_not_text_is_refused():
    with pytest.raises(TypeError, match="the key 1 is a int"):
        canonical({1: "a"})


def test_paths_and_marked_fields_are_left_out_of_the_identity_of_options():
    assert identity_of_options(Options(folder=Path("here"), workers=8)) == {"width": 4}


def test_what_came_later_counts_only_where_it_was_changed():
    assert identity_of_options(Options(later="new")) == {"width": 4, "later": "new"}
