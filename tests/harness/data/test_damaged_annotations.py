"""Damaged annotation files are refused with a DataError or read; nothing else is ever raised."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from flavour_shapes import SHAPES, Shape
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vmrbench.data.annotation_findings import LENIENT, annotation_findings
from vmrbench.data.annotations import read_annotations
from vmrbench.data.defects import STRICT, DefectPolicy
from vmrbench.data.flavours.options import FlavourOptions
from vmrbench.errors import DataError

POLICIES = [STRICT, LENIENT, DefectPolicy(beyond_video="clip", reversed="swap", no_truth="drop", empty_sentence="drop")]
DOCUMENTS = [name for name, shape in SHAPES.items() if not isinstance(shape.content, str)]

# What stands in damaged files, and what breaks careless readers of whole ones.
STRANGE = st.one_of(
    st.none(),
    st.booleans(),
    st.sampled_from([0, -1, 10**400, 2**63, 1e308, 5e-324, float("nan"), float("inf"), -0.0]),
    st.sampled_from(["", " ", "\ud800", "\x00", "a\nb", "##", "nan", "1e5", [], {}, [[]], [[1]], [[2, 1]], {"a": 1}]),
    st.recursive(st.integers() | st.text(max_size=3), lambda inner: st.lists(inner, max_size=3), max_leaves=5),
)
FEW = settings(max_examples=30, suppress_health_check=[HealthCheck.too_slow])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for all examples: making thousands takes longer than reading their files."""
    return tmp_path_factory.mktemp("damaged")


def read_whatever_comes(folder: Path, shape: Shape, content: bytes, policy: DefectPolicy) -> None:
    """Read a file with that content; what is refused is refused in one line."""
    path, options = shape.write(folder)
    path.write_bytes(content)

    message = refusal(path, options, policy)

    assert "\n" not in message
    assert len(message) < 2000
    assert annotation_findings(path, options=options, policy=policy)


def refusal(path: Path, options: FlavourOptions, policy: DefectPolicy) -> str:
    """Why a file is refused; empty where it is read."""
    try:
        read_annotations(path, options=options, policy=policy)
    except DataError as error:
        return str(error)
    return ""


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from places(item, (*path, key))


def replaced(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    if not path:
        return new
    outer = copy.deepcopy(value)
    inner = outer
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = new
    return outer


def without(value: Any, path: tuple[Any, ...]) -> Any:
    if not path:
        return value
    outer = copy.deepcopy(value)
    inner = outer
    for key in path[:-1]:
        inner = inner[key]
    del inner[path[-1]]
    return outer


@pytest.mark.parametrize("name", SHAPES)
@FEW
@given(data=st.data())
def test_a_file_cut_short_is_never_more_than_a_data_error(folder: Path, name: str, data: st.DataObject) -> None:
    content = SHAPES[name].written().encode()
    end = data.draw(st.integers(0, len(content)))

    read_whatever_comes(folder, SHAPES[name], content[:end], data.draw(st.sampled_from(POLICIES)))


@pytest.mark.parametrize("name", SHAPES)
@FEW
@given(data=st.data())
def test_bytes_written_over_are_never_more_than_a_data_error(folder: Path, name: str, data: st.DataObject) -> None:
    content = bytearray(SHAPES[name].written().encode())
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(content) - 1))
        content[at : at + data.draw(st.integers(0, 2))] = data.draw(
            st.binary(max_size=3)
            | st.sampled_from([b"[", b"]", b"{", b"}", b'"', b",", b":", b"\n", b"\\ud800", b"9" * 400])
        )

    read_whatever_comes(folder, SHAPES[name], bytes(content), data.draw(st.sampled_from(POLICIES)))


@pytest.mark.parametrize("name", DOCUMENTS)
@FEW
@given(data=st.data())
def test_a_value_of_another_type_is_never_more_than_a_data_error(folder: Path, name: str, data: st.DataObject) -> None:
    shape = SHAPES[name]
    place = data.draw(st.sampled_from(list(places(shape.content))))
    gone = data.draw(st.booleans())
    content = without(shape.content, place) if gone else replaced(shape.content, place, data.draw(STRANGE))
    lines = shape.lines and isinstance(content, list)
    text = "\n".join(map(json.dumps, content)) if lines else json.dumps(content)

    read_whatever_comes(folder, shape, text.encode(), data.draw(st.sampled_from(POLICIES)))


@pytest.mark.parametrize("name", DOCUMENTS)
@FEW
@given(brackets=st.permutations("[]{}"), policy=st.sampled_from(POLICIES))
def test_swapped_brackets_are_never_more_than_a_data_error(
    folder: Path, name: str, brackets: list[str], policy: DefectPolicy
) -> None:
    text = SHAPES[name].written().translate(str.maketrans("[]{}", "".join(brackets)))

    read_whatever_comes(folder, SHAPES[name], text.encode(), policy)


@pytest.mark.parametrize("name", [name for name, shape in SHAPES.items() if shape.durations])
@FEW
@given(data=st.data())
def test_damaged_durations_are_never_more_than_a_data_error(folder: Path, name: str, data: st.DataObject) -> None:
    shape = SHAPES[name]
    content = bytearray(shape.durations.encode() if isinstance(shape.durations, str) else shape.durations)
    start, length = data.draw(st.integers(0, len(content))), data.draw(st.integers(0, 40))
    content[start : start + length] = data.draw(st.binary(max_size=4) | st.sampled_from([b'"', b",", b"\n", b"nan"]))

    read_whatever_comes(folder, replace(shape, durations=bytes(content)), shape.written().encode(), STRICT)


@given(content=st.binary(max_size=60) | st.text(alphabet='[]{}",:#1a \n', max_size=60).map(str.encode))
def test_any_bytes_are_never_more_than_a_data_error(folder: Path, content: bytes) -> None:
    path = folder / "file"
    path.write_bytes(content)

    assert refusal(path, FlavourOptions(), LENIENT)
