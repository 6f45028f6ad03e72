from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from flavour_shapes import (
    ACTIVITYNET,
    CHARADES_CSV,
    CHARADES_TEXT,
    CONE,
    DIDEMO,
    EGO4D,
    EGO4D_VSLNET,
    MAD,
    QVHIGHLIGHTS,
    SHAPES,
    SNAG,
    TACOS,
    Shape,
)

from vmrbench.data.annotations import AnnotationFile, read_annotations
from vmrbench.data.defects import DefectPolicy
from vmrbench.data.flavours.durations import decimal
from vmrbench.data.flavours.options import FlavourOptions
from vmrbench.errors import DataError

KEEP_TEST_QUERIES = DefectPolicy(empty_sentence="drop", no_truth="keep")


def read(shape: Shape, folder: Path, policy: DefectPolicy = KEEP_TEST_QUERIES, **changes: Any) -> AnnotationFile:
    path, options = shape.write(folder)
    given = {name: getattr(options, name) for name in ("durations", "timestamp_field", "time_base", "split")}
    return read_annotations(path, options=FlavourOptions(**{**given, **changes}), policy=policy)


@pytest.mark.parametrize("name", SHAPES)
def test_every_published_shape_is_recognised_by_its_content(tmp_path: Path, name: str) -> None:
    assert read(SHAPES[name], tmp_path).flavour == name.split()[0]


def test_qvhighlights_keeps_its_ids_windows_and_scores(tmp_path: Path) -> None:
    first, second = read(SHAPES["qvhighlights"], tmp_path, DefectPolicy())

    assert (first.sample_id, first.extra["qid"], first.duration) == ("8737", 8737, 126.0)
    assert first.moments == ((0.0, 4.0), (10.0, 12.0))
    assert first.extra["saliency_scores"] == [[4, 1, 1], [4, 1, 1], [4, 2, 1]]
    assert second.video_id == "_6hnl_BrFvs_360.0_510.0"


def test_ids_of_lines_keep_their_type(tmp_path: Path) -> None:
    assert [a.extra["qid"] for a in read(SHAPES["tvr_jsonl"], tmp_path)] == ["s30-d52_0", 12404]


@pytest.mark.parametrize("name", ["charades_sta", "charades_sta with json"])
def test_charades_text_takes_its_durations_from_the_other_file(tmp_path: Path, name: str) -> None:
    found = read(SHAPES[name], tmp_path, DefectPolicy())

    assert [(a.sample_id, a.duration, a.moments) for a in found] == [
        ("3MSZA_0", 30.96, ((24.3, 30.4),)),
        ("3MSZA_1", 30.96, ((0.0, 5.1),)),
        ("AMT7R_0", 33.0, ((4.3, 12.5),)),
    ]
    assert found[0].sentence == "person turn a light on."


def test_captions_of_activitynet_are_in_seconds(tmp_path: Path) -> None:
    found = read(SHAPES["activitynet_captions"], tmp_path, DefectPolicy())

    assert [a.sample_id for a in found] == ["v_uqiMw7tQ1Cc_0", "v_uqiMw7tQ1Cc_1", "v_bXdq2zI1Ms0_0"]
    assert found[1].sentence == "  The coach helps the guy in red."
    assert found[1].moments == ((13.79, 54.32),)
    assert found[2].duration == 73.1


def test_a_list_of_one_item_a_query_is_divided_among_the_queries(tmp_path: Path) -> None:
    entry = {
        **ACTIVITYNET["v_uqiMw7tQ1Cc"],
        "syntactic_dependencies": [["nsubj"], ["det"]],
        "dependencies_matrices": [],
    }

    first, second = read(Shape({"v_uqiMw7tQ1Cc": entry}), tmp_path)

    assert first.extra == {"syntactic_dependencies": ["nsubj"], "dependencies_matrices": []}
    assert second.extra == {"syntactic_dependencies": ["det"], "dependencies_matrices": []}


def test_frames_of_tacos_become_seconds(tmp_path: Path) -> None:
    first, _ = read(SHAPES["tacos"], tmp_path, DefectPolicy())

    # The same query in Lighthouse's file: 141 / 29.4, 354 / 29.4 and 7346 / 29.4.
    assert first.moments == ((4.795918367346939, 12.040816326530614),)
    assert first.duration == 249.8639455782313
    assert (first.video_id, first.sample_id) == ("s30-d52.avi", "s30-d52.avi_0")


def test_nlq_counts_empty_queries_in_its_ids_and_times_in_the_clip(tmp_path: Path) -> None:
    found = read(SHAPES["ego4d_nlq"], tmp_path)

    assert [a.sample_id for a in found] == ["b15d9ef4_0", "b15d9ef4_2"]
    assert found[0].moments == ((10.5, 18.0),)
    assert found[0].duration == pytest.approx(480.0)
    assert found[0].video_id == "c8fbfd9c"
    assert found[1].extra["query_idx"] == 2
    assert found[1].extra["annotation_uid"] == "b15d9ef4"
    assert found[1].extra["source_video"] == "94cdabf3"
    assert found.defects.found == {"empty_sentence": 1}


def test_nlq_for_scoring_alone_may_tell_lengths_only(tmp_path: Path) -> None:
    document = json.loads(json.dumps(EGO4D))
    clip = document["videos"][0]["clips"][0]
    del clip["video_start_sec"], clip["video_end_sec"]

    found = read(Shape(document), tmp_path)

    assert found[0].duration == 480.0
    assert "source_window" not in found[0].extra


def test_nlq_on_video_time_is_in_the_whole_video(tmp_path: Path) -> None:
    found = read(SHAPES["ego4d_nlq on video time"], tmp_path)

    assert found[0].moments == ((310.5210286, 318.0210286),)
    assert (found[0].video_id, found[0].duration) == ("94cdabf3", 1800.5)
    assert found[0].extra["clip_uid"] == "c8fbfd9c"


def test_nlq_without_annotations_has_no_truth(tmp_path: Path) -> None:
    (query,) = read(SHAPES["ego4d_nlq unannotated"], tmp_path)

    assert query.moments == ()


def test_converted_nlq_reads_exact_times_not_feature_rows(tmp_path: Path) -> None:
    found = read(SHAPES["ego4d_vslnet"], tmp_path, DefectPolicy())

    assert [(a.sample_id, a.moments) for a in found] == [
        ("b15d9ef4_0", ((10.5, 18.0),)),
        ("b15d9ef4_2", ((30.0, 31.5),)),
    ]
    assert found[0].duration == 480.0  # 900 / 1.875


@pytest.mark.parametrize("times", [[10.5, 18.0], [[10.5, 18.0]]])
def test_lines_of_cone_name_clip_and_source(tmp_path: Path, times: list[Any]) -> None:
    (query,) = read(Shape([{**CONE[0], "timestamps": times}], lines=True), tmp_path)

    assert (query.sample_id, query.video_id, query.moments) == ("b15d9ef4_0", "c8fbfd9c", ((10.5, 18.0),))
    assert query.extra["source_video"] == "94cdabf3"


@pytest.mark.parametrize(
    ("field", "window", "other"),
    [("ext_timestamps", (160.0, 178.25), "timestamps"), ("timestamps", (162.547, 175.809), "ext_timestamps")],
)
def test_mad_reads_the_declared_times(tmp_path: Path, field: Any, window: tuple[float, float], other: str) -> None:
    first, _ = read(SHAPES["mad"], tmp_path, DefectPolicy(), timestamp_field=field)

    assert first.moments == (window,)
    assert (first.sample_id, first.extra["qid"], first.duration) == ("1050", "1050", 7947.6)
    assert first.extra[other] == MAD["1050"][other]


def test_mad_with_one_field_needs_no_choice(tmp_path: Path) -> None:
    one = {key: {k: v for k, v in entry.items() if k != "ext_timestamps"} for key, entry in MAD.items()}

    assert read(Shape(one), tmp_path)[1].moments == ((180.1, 182.3),)


def test_charades_cd_has_its_own_durations(tmp_path: Path) -> None:
    first, second = read(SHAPES["charades_cd"], tmp_path, DefectPolicy())

    assert (first.duration, first.moments) == (47.625, ((39.3, 45.0),))
    assert second.extra["encoded_sentences"] == [1, 29, 3, 7]
    assert second.extra["decode_fps"] == 16.0


def test_didemo_takes_the_choice_of_most_and_of_equals_the_first(tmp_path: Path) -> None:
    first, second = read(SHAPES["didemo"], tmp_path, DefectPolicy())

    assert (first.moments, first.duration) == (((20.0, 25.0),), 30.0)  # Two of four chose chunk 4.
    assert (second.moments, second.duration) == (((10.0, 15.0),), 25.0)  # All differ.
    assert first.extra["times"] == DIDEMO[0]["times"]
    assert (second.sample_id, second.extra["qid"]) == ("49152", 49152)


def test_snag_reads_one_split_and_names_queries_as_it_does(tmp_path: Path) -> None:
    found = read(SHAPES["snag"], tmp_path, DefectPolicy())

    assert [(a.sample_id, a.duration) for a in found] == [("v1_0000", 30.0), ("a7", 30.0)]
    assert "qid" not in found[0].extra
    assert found[1].extra["qid"] == "a7"


def test_snag_prefers_the_duration_it_writes(tmp_path: Path) -> None:
    (query,) = read(SHAPES["snag"], tmp_path, split="validation")

    assert (query.duration, query.moments) == (39.5, ((0.0, 39.0),))


def test_snag_with_one_split_needs_no_choice(tmp_path: Path) -> None:
    assert len(read(Shape({"test": SNAG["training"]}), tmp_path)) == 2


def test_a_line_separator_inside_a_sentence_ends_no_line(tmp_path: Path) -> None:
    path = tmp_path / "file"
    row = {"qid": 1, "query": "a man\u2028sits", "vid": "v", "duration": 10, "relevant_windows": [[1, 2]]}
    path.write_text(json.dumps(row, ensure_ascii=False), encoding="utf-8")

    assert read_annotations(path)[0].sentence == "a man\u2028sits"


def test_windows_line_ends_and_a_byte_order_mark_are_no_damage(tmp_path: Path) -> None:
    path = tmp_path / "file"
    durations = tmp_path / "durations.csv"
    path.write_bytes(b"\xef\xbb\xbf" + CHARADES_TEXT.replace("\n", "\r\n").encode())
    durations.write_bytes(b"\xef\xbb\xbf" + CHARADES_CSV.replace("\n", "\r\n").encode())

    found = read_annotations(path, options=FlavourOptions(durations=(durations,)))

    assert [a.sentence for a in found][1:] == ["person sits down.", "a person waits."]


def without(entry: dict[str, Any], key: str) -> dict[str, Any]:
    return {k: v for k, v in entry.items() if k != key}


@pytest.mark.parametrize(
    ("shape", "said"),
    [
        (Shape(CHARADES_TEXT), "holds no durations; set durations: a csv with columns 'id' and 'length', or JSON"),
        (Shape(CHARADES_TEXT, durations="id,length\nAMT7R,3\n"), "annotations:1: no duration of '3MSZA' in"),
        (
            Shape(CHARADES_TEXT, durations="id,duration\nAMT7R,3\n"),
            "durations: ['id', 'duration'] found as columns",
        ),
        (Shape(CHARADES_TEXT, durations="id,length\nAMT7R,nan\n"), "durations:2: length: 'nan' found"),
        (Shape(CHARADES_TEXT, durations='{"3MSZA": {"subset": "test"}}'), "video '3MSZA': key 'duration' is missing"),
        (Shape(CHARADES_TEXT, durations="id,length\nA,3\nA,4\n"), "duration 4.0 found, but 3.0 was read before"),
        (Shape("3MSZA 24.3##a\n", durations=CHARADES_CSV), "annotations:1: '3MSZA 24.3##a' found, 'VIDEO start end"),
        (Shape("3MSZA 1_0 30##a\n", durations=CHARADES_CSV), "annotations:1: times: '1_0' found"),
        (Shape(MAD), "timestamps and ext_timestamps found; set timestamp_field: ext_timestamps (VLG-Net"),
        (Shape(SNAG), "splits 'training', 'validation' found; set split to one of them"),
        (Shape(SNAG, options={"split": "val"}), "no split 'val'; the file holds 'training', 'validation'"),
        (Shape(EGO4D, options={"time_base": "video"}), "time base 'video': the file holds no durations; set durations"),
        (Shape({"v": {**TACOS["s30-d52.avi"], "duration": 250.0}}), "whether timestamps are frames cannot be told"),
        (Shape({"v": {**TACOS["s30-d52.avi"], "fps": 0}}), "video 'v': fps: 0.0 found, more than 0 frames a second"),
        (
            Shape({"v": {"duration": 5, "timestamps": [[1, 2]], "sentences": []}}),
            "video 'v': 1 timestamps and 0 sentences found, as many of both expected",
        ),
        (Shape({"v": {"a": 1}}), "entries with the keys ['a'] found"),
        (Shape({}), "no query in the file"),
        (Shape({"v": {"duration": 5, "timestamps": [], "sentences": []}}), "no query in the file (read as activity"),
        (Shape("hello\n"), "'hello' found as its first line"),
        (Shape('{"a": {"duration": 1}, "a": {"duration": 1}}'), "key 'a' comes twice in one object"),
        (Shape([{**DIDEMO[0], "times": [[4, 6]]}]), "times[0]: [4, 6] found, [first, last] of 6 chunks expected"),
        (Shape([{**DIDEMO[0], "num_segments": 6.0}]), "num_segments: 6.0 found, a number of 5 s chunks"),
        (Shape([{**QVHIGHLIGHTS[1], "saliency_scores": [[1, 2, 3]]}], lines=True), "1 found, one for each of relevant"),
        (Shape([{**QVHIGHLIGHTS[1], "relevant_clip_ids": [35, 75]}], lines=True), "relevant_clip_ids: 75 found"),
        (
            Shape({"c": {**EGO4D_VSLNET["c8fbfd9c"], "query_idx": [0]}}),
            "video 'c': 1 query_idx found, one for every sentence expected",
        ),
        (Shape('{"v": {"duration": 5, "timest'), "annotations: not JSON (Unterminated string starting at, column 23)"),
        (Shape("[" * 100_000), "not JSON that can be read (RecursionError)"),
    ],
)
def test_what_cannot_be_read_is_said_in_one_line(tmp_path: Path, shape: Shape, said: str) -> None:
    with pytest.raises(DataError) as caught:
        read(shape, tmp_path, DefectPolicy())

    assert said in str(caught.value)
    assert str(tmp_path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 600


def test_a_time_too_long_for_a_number_is_refused() -> None:
    with pytest.raises(DataError, match="no number of seconds"):
        decimal("9" * 400, "times.csv:2")
