from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from vmrbench.data.annotations import read_annotations
from vmrbench.data.defects import DefectPolicy
from vmrbench.errors import DataError


def row(**changes: Any) -> dict[str, Any]:
    return {"qid": 1, "query": "a man sits", "vid": "v", "duration": 10.0, "relevant_windows": [[1, 2.5]], **changes}


def write(folder: Path, *rows: dict[str, Any] | str) -> Path:
    path = folder / "queries.jsonl"
    path.write_text("\n".join(r if isinstance(r, str) else json.dumps(r) for r in rows), encoding="utf-8")
    return path


def test_query_is_read_with_its_windows_and_unknown_keys(tmp_path: Path) -> None:
    path = write(tmp_path, row(relevant_windows=[[1, 2.5], [4, 6]], domain=[1, 2]))

    (annotation,) = read_annotations(path)

    assert annotation.sample_id == "1"
    assert annotation.moments == ((1.0, 2.5), (4.0, 6.0))
    assert annotation.extra == {"qid": 1, "domain": [1, 2]}


def test_qid_may_be_text_and_keeps_its_type(tmp_path: Path) -> None:
    (annotation,) = read_annotations(write(tmp_path, row(qid="s30_0")))

    assert annotation.sample_id == "s30_0"
    assert annotation.extra["qid"] == "s30_0"


def test_blank_lines_are_no_queries(tmp_path: Path) -> None:
    assert len(read_annotations(write(tmp_path, row(), "", row(qid=2), ""))) == 2


def test_window_within_rounding_ends_with_the_video(tmp_path: Path) -> None:
    file = read_annotations(write(tmp_path, row(relevant_windows=[[9, 10.05]])))

    assert file[0].moments == ((9.0, 10.0),)
    assert file.defects.found == {"rounding": 1}


def test_window_beyond_the_video_is_cut_and_counted_when_asked(tmp_path: Path) -> None:
    path = write(tmp_path, row(relevant_windows=[[9, 12], [1, 2]]), row(qid=2, relevant_windows=[[-3, 4]]))

    file = read_annotations(path, policy=DefectPolicy(beyond_video="clip"))

    assert [a.moments for a in file] == [((9.0, 10.0), (1.0, 2.0)), ((0.0, 4.0),)]
    assert (file.defects.found, file.defects.windows_changed) == ({"beyond_video": 2}, 2)


def without(key: str) -> dict[str, Any]:
    return {k: v for k, v in row().items() if k != key}


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        ("{not json", ":2: not JSON"),
        ("[1]", ":2: a list found"),
        (without("vid"), ":2, qid 1: key 'vid' is missing"),
        (row(qid=2.5), ":2: qid: 2.5 found"),
        (row(qid=True), ":2: qid: True found"),
        (row(qid=7, query=" "), ":2, qid 7: query: ' ' found"),
        (row(qid=7, vid=3), ":2, qid 7: vid: 3 found"),
        (row(qid=7, duration=0), ":2, qid 7: duration: 0.0 found"),
        (row(qid=7, duration="10"), ":2, qid 7: duration: '10' found"),
        (row(qid=7, duration=float("nan")), ":2, qid 7: duration: nan found"),
        (row(qid=7, relevant_windows=[]), ":2, qid 7: relevant_windows: no window found"),
        (row(qid=7, relevant_windows=[[1, 2, 3]]), "relevant_windows[0]: [1, 2, 3] found"),
        (row(qid=7, relevant_windows=[[1, 2], [5, 4]]), "relevant_windows[1]: [5, 4] ends before it starts"),
        (row(qid=7, relevant_windows=[[4, 4]]), "relevant_windows[0]: [4, 4] has no length"),
        (row(qid=7, relevant_windows=[[4, 10.2]]), "[4, 10.2] lies beyond the video of 10 s"),
        (row(qid=7, relevant_windows=[[-1, 4]]), "[-1, 4] lies beyond the video"),
        (row(qid="1"), ":2, qid '1': id '1' is that of"),
    ],
)
def test_bad_line_is_refused_with_its_place(tmp_path: Path, bad: dict[str, Any] | str, said: str) -> None:
    path = write(tmp_path, row(), bad)

    with pytest.raises(DataError) as caught:
        read_annotations(path)

    assert said in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_window_wholly_beyond_the_video_is_refused_even_when_cutting(tmp_path: Path) -> None:
    path = write(tmp_path, row(relevant_windows=[[11, 12]]))

    with pytest.raises(DataError, match="lies outside the video of 10 s"):
        read_annotations(path, policy=DefectPolicy(beyond_video="clip"))


def test_file_without_queries_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no query in the file"):
        read_annotations(write(tmp_path, ""))


def test_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read: No such file"):
        read_annotations(tmp_path / "absent.jsonl")


def test_file_that_is_not_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "queries.jsonl"
    path.write_bytes(b"\xff\xfe")

    with pytest.raises(DataError, match="not UTF-8"):
        read_annotations(path)
