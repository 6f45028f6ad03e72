from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from vmrbench.data.annotation_findings import Finding, annotation_findings, is_refused
from vmrbench.data.annotations import read_annotations
from vmrbench.data.defects import DefectPolicy
from vmrbench.data.known_splits import KNOWN


def row(**changes: Any) -> dict[str, Any]:
    return {"qid": 1, "query": "a man sits", "vid": "v", "duration": 10.0, "relevant_windows": [[1, 2.5]], **changes}


def write(folder: Path, *rows: Any) -> Path:
    path = folder / "queries"
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return path


def by_check(findings: list[Finding]) -> dict[str, Finding]:
    return {finding.check: finding for finding in findings}


def test_a_sound_file_has_facts_only(tmp_path: Path) -> None:
    findings = annotation_findings(write(tmp_path, row(), row(qid=2, vid="w", query="a dog runs")))

    assert [(f.check, f.level) for f in findings] == [
        ("flavour", "fact"),
        ("counts", "fact"),
        ("fingerprint", "fact"),
        ("known_split", "fact"),
    ]
    assert by_check(findings)["counts"].message == "2 queries, 2 windows, 2 videos"
    assert by_check(findings)["known_split"].message == "no known split"
    assert not is_refused(findings)


def test_all_defects_of_a_file_are_found_at_once(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        row(relevant_windows=[[1, 12], [3, 2], [4, 4]]),
        row(relevant_windows=[[2, 3]]),
        row(qid=3, relevant_windows=None),
        row(qid=4, query=""),
        row(qid=5, relevant_windows=[[11, 12]], duration=10.5),
    )

    found = by_check(annotation_findings(path, policy=DefectPolicy(beyond_video="clip")))

    kinds = ("beyond_video", "reversed", "zero_length", "duplicate_id", "no_truth", "empty_sentence", "outside_video")
    assert {kind: found[kind].count for kind in kinds} == dict.fromkeys(kinds, 1)
    assert (found["beyond_video"].level, found["reversed"].level) == ("warning", "error")
    assert found["duplicate_id"].first == f"{path}:2, qid 1"
    assert found["durations"].message == "1 videos have several durations; first: 'v': [10.0, 10.5]"
    assert is_refused(list(found.values()))


def test_a_sentence_repeated_for_one_video_is_counted(tmp_path: Path) -> None:
    path = write(tmp_path, row(), row(qid=2, query="A man sits "), row(qid=3, vid="w"), row(qid=4))

    assert by_check(annotation_findings(path))["repeated_queries"].count == 2


def test_windows_that_a_model_does_not_see_are_counted(tmp_path: Path) -> None:
    path = write(tmp_path, row(relevant_windows=[[1, 4], [4, 6], [5, 6], [7, 8]]))

    finding = by_check(annotation_findings(path, visible_seconds=5.0))["truncated_truth"]

    assert (finding.count, finding.level) == (3, "warning")
    assert finding.message.startswith("of 4 windows 1 are cut and 2 lost after 5 s of input")


def test_a_file_that_cannot_be_read_is_one_finding(tmp_path: Path) -> None:
    (finding,) = annotation_findings(write(tmp_path, row(), [1]))

    assert (finding.check, finding.level) == ("readable", "error")
    assert ":2: a list found" in finding.message


def test_a_known_split_of_other_content_is_suspicious(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(KNOWN, "0" * 16, ("Small test", 2, 1))

    finding = by_check(annotation_findings(write(tmp_path, row(), row(qid=2, query="b"))))["known_split"]

    assert finding.level == "warning"
    assert finding.message == "no known split, but of the size of Small test: words, times or durations differ"


@pytest.mark.parametrize(
    "changed",
    [
        {"query": "a man stands"},
        {"vid": "w"},
        {"duration": 10.5},
        {"relevant_windows": [[1, 2.501]]},
        {"relevant_windows": [[1, 2.5], [3, 4]]},
    ],
)
def test_the_fingerprint_changes_with_what_a_query_says(tmp_path: Path, changed: dict[str, Any]) -> None:
    before = read_annotations(write(tmp_path, row())).fingerprint

    assert read_annotations(write(tmp_path, row(**changed))).fingerprint != before


def test_the_fingerprint_does_not_change_with_ids_order_spaces_or_flavour(tmp_path: Path) -> None:
    second = row(qid=2, query="a  dog runs ", relevant_windows=[[2, 3]])
    one = read_annotations(write(tmp_path, row(), second))
    other = read_annotations(write(tmp_path, {**second, "query": "a dog runs", "qid": "x"}, row()))
    entry = {"duration": 10, "timestamps": [[1, 2.5], [2, 3]], "sentences": ["a man sits", "a dog runs"]}
    captions = read_annotations(write(tmp_path, {"v": entry}))

    assert captions.flavour == "activitynet_captions"
    assert one.fingerprint == other.fingerprint == captions.fingerprint


def test_the_policy_does_not_change_the_fingerprint(tmp_path: Path) -> None:
    path = write(tmp_path, row(relevant_windows=[[1, 12]]), row(qid=2))
    policies = [DefectPolicy(beyond_video="clip"), DefectPolicy(beyond_video="drop"), DefectPolicy(beyond_video="keep")]

    assert len({read_annotations(path, policy=policy).fingerprint for policy in policies}) == 1
