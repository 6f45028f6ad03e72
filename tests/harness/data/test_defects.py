from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmrbench.data.defects import DefectPolicy, DefectReport, settle
from vmrbench.data.flavours.values import Window, WrittenQuery
from vmrbench.errors import DataError
from vmrbench.types import Annotation

SECONDS = 10.0
KEEP_ALL = DefectPolicy(
    rounding="keep", beyond_video="keep", outside_video="keep", reversed="keep", zero_length="keep", no_truth="keep"
)
DROP_ALL = DefectPolicy(
    rounding="drop",
    beyond_video="drop",
    outside_video="drop",
    reversed="drop",
    zero_length="drop",
    empty_sentence="drop",
    no_truth="drop",
    duplicate_id="drop",
)


def query(*windows: Window, name: str = "q", sentence: str = "a man sits") -> WrittenQuery:
    return WrittenQuery(
        where=f"file:1, qid {name!r}",
        sample_id=name,
        video_id="v",
        sentence=sentence,
        duration=SECONDS,
        windows=windows,
        window_key="times",
        numbered=True,
    )


def settled(*queries: WrittenQuery, **policy: Any) -> tuple[list[Annotation], DefectReport]:
    return settle(queries, DefectPolicy(**policy))


@pytest.mark.parametrize(
    ("kind", "window"),
    [
        ("beyond_video", (8.0, 10.2)),
        ("beyond_video", (-0.2, 4.0)),
        ("outside_video", (10.0, 11.0)),
        ("outside_video", (-3.0, 0.0)),
        ("reversed", (4.0, 3.0)),
        ("zero_length", (4.0, 4.0)),
    ],
)
def test_a_window_with_a_defect_is_refused_dropped_or_kept(kind: str, window: Window) -> None:
    with pytest.raises(DataError, match=rf"^file:1, qid 'q': times\[1\]: \[.*; mend the file, or declare {kind}: "):
        settled(query((1.0, 2.0), window))
    dropped, report = settled(query((1.0, 2.0), window), **{kind: "drop"})
    kept, _ = settled(query((1.0, 2.0), window), **{kind: "keep"})

    assert dropped[0].moments == ((1.0, 2.0),)
    assert kept[0].moments == ((1.0, 2.0), window)
    assert (report.found, report.windows_written, report.windows_dropped) == ({kind: 1}, 2, 1)
    assert report.first == {kind: "file:1, qid 'q': times[1]"}


def test_a_reversed_window_that_is_swapped_is_checked_like_any_other() -> None:
    (annotation,), report = settled(query((12.0, 3.0)), reversed="swap", beyond_video="clip")

    assert annotation.moments == ((3.0, 10.0),)
    assert (report.found, report.windows_changed) == ({"reversed": 1, "beyond_video": 1}, 1)


def test_a_rounding_error_is_cut_unless_declared_otherwise_and_counted_always() -> None:
    (cut,), report = settled(query((9.0, 10.1)))
    (kept,), _ = settled(query((9.0, 10.1)), rounding="keep")

    assert (cut.moments, report.found) == (((9.0, 10.0),), {"rounding": 1})
    assert kept.moments == ((9.0, 10.1),)
    with pytest.raises(DataError, match="rounding error"):
        settled(query((9.0, 10.1)), rounding="error")


def test_what_binary_fractions_lose_is_no_defect() -> None:
    (annotation,), report = settled(query((9.0, 10.0 + 1e-12)))

    assert annotation.moments == ((9.0, 10.0),)
    assert (report.found, report.windows_changed) == ({}, 0)


def test_a_query_is_dropped_with_its_last_window() -> None:
    kept, report = settled(query((4.0, 4.0), (5.0, 5.0)), query((1.0, 2.0), name="r"), zero_length="drop")

    assert [annotation.sample_id for annotation in kept] == ["r"]
    assert (report.queries_written, report.queries_dropped, report.windows_dropped) == (2, 1, 2)


def test_a_query_without_truth_or_words_is_refused_dropped_or_kept() -> None:
    bare, mute = query(), query((1.0, 2.0), name="m", sentence=" ")
    for one, kind in ((bare, "no_truth"), (mute, "empty_sentence")):
        with pytest.raises(DataError, match=f"declare {kind}: drop or keep"):
            settled(one)

    kept, _ = settled(bare, mute, no_truth="keep", empty_sentence="keep")
    dropped, report = settled(bare, mute, no_truth="drop", empty_sentence="drop")

    assert [annotation.moments for annotation in kept] == [(), ((1.0, 2.0),)]
    assert dropped == []
    assert (report.queries_dropped, report.found) == (2, {"no_truth": 1, "empty_sentence": 1})


def test_the_second_query_of_an_id_is_refused_or_dropped() -> None:
    twice = [query((1.0, 2.0)), query((3.0, 4.0))]

    with pytest.raises(DataError, match="id 'q' is that of file:1, qid 'q' too"):
        settled(*twice)
    (kept,), report = settled(*twice, duplicate_id="drop")

    assert kept.moments == ((1.0, 2.0),)
    assert (report.found, report.windows_dropped) == ({"duplicate_id": 1}, 1)


def test_the_record_says_what_was_declared_and_names_no_file() -> None:
    _, report = settled(query((9.0, 12.0)), beyond_video="clip")

    assert report.to_json() == {
        "queries_written": 1,
        "queries_dropped": 0,
        "windows_written": 1,
        "windows_dropped": 0,
        "windows_changed": 1,
        "defects": {"beyond_video": {"found": 1, "policy": "clip"}},
    }


TIMES = st.floats(-3, 13, allow_nan=False).map(lambda value: round(value, 2))
WINDOWS = st.lists(st.tuples(TIMES, TIMES), max_size=4)


def has_defect(window: Window) -> bool:
    start, end = window
    return not (0 <= start < end <= SECONDS)


@given(st.lists(WINDOWS, min_size=1, max_size=5))
def test_dropping_leaves_sound_windows_only_and_every_window_is_accounted_for(lists: list[list[Window]]) -> None:
    queries = [query(*windows, name=str(number)) for number, windows in enumerate(lists)]

    kept, report = settle(queries, DROP_ALL)

    assert [a.moments for a in kept] == [
        sound for windows in lists if (sound := tuple(w for w in windows if not has_defect(w)))
    ]
    assert report.windows_written == report.windows_dropped + sum(len(a.moments) for a in kept)
    assert report.queries_written == report.queries_dropped + len(kept)


@given(st.lists(WINDOWS, min_size=1, max_size=5))
def test_keeping_changes_nothing_and_counts_the_same(lists: Sequence[list[Window]]) -> None:
    queries = [query(*windows, name=str(number)) for number, windows in enumerate(lists)]

    kept, report = settle(queries, KEEP_ALL)

    assert [list(a.moments) for a in kept] == list(lists)
    assert sum(report.found.values()) == sum(map(has_defect, (w for ws in lists for w in ws))) + lists.count([])


@given(WINDOWS.filter(bool))
def test_clipping_leaves_what_lies_in_the_video(windows: list[Window]) -> None:
    cut = DefectPolicy(beyond_video="clip", outside_video="drop", reversed="swap", zero_length="drop")

    kept, _ = settle([query(*windows)], cut)

    ordered = [(max(min(w), 0.0), min(max(w), SECONDS)) for w in windows]
    assert [list(a.moments) for a in kept] == [inside for inside in [[(s, e) for s, e in ordered if s < e]] if inside]
