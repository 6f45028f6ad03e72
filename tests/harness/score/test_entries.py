"""Predictions files as other code bases write them."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vmrbench.errors import DataError, UserError
from vmrbench.protocol.published import EGO4D_NLQ_V1, MAD_V1, QVHIGHLIGHTS_V1, VMRBENCH_V1
from vmrbench.score.entries import read_entries
from vmrbench.score.result import score_submission
from vmrbench.score.submission import read_submission
from vmrbench.types import Annotation, Prediction


def annotation(sample_id: str, video_id: str = "v", **extra: Any) -> Annotation:
    return Annotation(
        sample_id=sample_id, video_id=video_id, sentence="s", duration=50.0, moments=((1.0, 9.0),), extra=extra
    )


def written(folder: Path, value: Any) -> Path:
    path = folder / "predictions.json"
    path.write_text(value if isinstance(value, str) else json.dumps(value), encoding="utf-8")
    return path


def test_results_of_ego4d_are_matched_by_annotation_and_place(tmp_path: Path) -> None:
    results = [
        {"clip_uid": "c", "annotation_uid": "a", "query_idx": place, "predicted_times": [[1.0, 9.0], [20.0, 30.0]]}
        for place in (1, 0)
    ]
    path = written(tmp_path, {"version": "1.0", "challenge": "ego4d_nlq_challenge", "results": results})
    truth = [annotation("a_0", "c"), annotation("own id", "c", annotation_uid="a", query_idx=1)]

    found = read_submission(path, truth, EGO4D_NLQ_V1)

    # No scores in the file: the order ranks.
    moments = ((1.0, 9.0, -1.0), (20.0, 30.0, -2.0))
    assert found.predictions == (
        Prediction(sample_id="own id", video_id="c", moments=moments),
        Prediction(sample_id="a_0", video_id="c", moments=moments),
    )
    assert found.faults == ()


@pytest.mark.parametrize("times", [[[1.0, 9.0, 0.8]], [[1.0, 9.0, 0.1, 0.7, 0.8]], [[1.0, 9.0]]])
def test_predictions_for_mad_come_in_lines_with_their_query_id(tmp_path: Path, times: list[list[float]]) -> None:
    line = {"query_id": 1050, "video_id": "3003_40_YEAR_OLD_VIRGIN", "predicted_times": times}
    truth = [annotation("1050", "3003_40_YEAR_OLD_VIRGIN")]

    submission = read_submission(written(tmp_path, line), truth, MAD_V1)
    result = score_submission(submission, truth, MAD_V1, name="", intervals=False)

    assert {name: round(found.value, 9) for name, found in result.scores.items()} == {
        **{f"R{n}@{iou}": 100.0 for n in (1, 5, 10, 50, 100) for iou in (0.1, 0.3, 0.5)},
        "mIoU": 100.0,
    }


def test_a_tvr_submission_numbers_its_videos(tmp_path: Path) -> None:
    whole = {
        "video2idx": {"castle_s01": 7, "friends_s02": 3},
        "SVMR": [{"desc_id": 90200, "desc": "s", "predictions": [[7, 1.0, 9.0, 0.9], [7, 2.0, 4.0, 0.1]]}],
    }

    (entry,) = read_entries(written(tmp_path, whole))

    assert (entry.sample_id, entry.video_id) == ("90200", "castle_s01")
    assert entry.windows == ((1.0, 9.0, 0.9), (2.0, 4.0, 0.1))


def test_ids_of_text_and_a_byte_order_mark_are_read(tmp_path: Path) -> None:
    path = tmp_path / "tvr.jsonl"
    path.write_text(
        '\ufeff{"qid": "s30-d52_0", "vid": "s30-d52", "pred_relevant_windows": [[1, 9, 1]]}\n\n', encoding="utf-8"
    )

    assert [entry.sample_id for entry in read_entries(path)] == ["s30-d52_0"]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"results": [3]}, "result 1: found int, expected an object"),
        ({"results": [{"annotation_uid": "a", "query_idx": None}]}, "result 1: 'query_idx' is None"),
        ({"results": [{"clip_uid": "c", "annotation_uid": "a"}]}, "result 1: 'query_idx' is None"),
        ('{"qid": 1, "qid": 2}', "key 'qid' comes twice in one object"),
        ('{"qid": 1, "vid": "v", "pred_relevant_windows": []}\n{"qid": 2, "qid": 3}', "line 2: .*'qid' comes twice"),
        ('{"qid": 1,\n "vid": "v"}', r"is one JSON object with \['qid', 'vid'\]; expected .*one a line"),
        ({"VCMR": []}, "holds no list 'SVMR'"),
        ({"SVMR": [{"desc_id": 1, "predictions": [[0, 1, 2, 3]]}]}, "SVMR 1: query '1': prediction 1: is .0, 1, 2, 3"),
        ({"SVMR": [{"desc_id": 1}]}, "SVMR 1: is .*expected an object with 'desc_id'"),
        ([{"query_id": 5}], "entry 1: query '5': 'predicted_times' is None"),
        ("[" * 5000, "line 1: is no JSON"),
        ('{"qid": ' + "9" * 5000 + ', "vid": "v", "pred_relevant_windows": []}', "line 1: is no JSON"),
        ('{"qid": 1, "vid": "v", "pred_relevant_windows": [[1, 1' + "0" * 400 + ", 1]]}", "not finite"),
        (
            {"qid": 1, "vid": "v", "pred_relevant_windows": [], "pred_saliency_scores": [0.5, float("nan")]},
            "'pred_saliency_scores': number 2 is nan",
        ),
        ({"qid": 1, "vid": "w", "pred_relevant_windows": []}, "predicted in video 'w', annotated in 'v'"),
        ({"qid": True, "vid": "v", "pred_relevant_windows": []}, "'qid' is True"),
    ],
)
def test_a_file_that_cannot_be_read_is_told_in_one_line(tmp_path: Path, value: Any, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        read_submission(written(tmp_path, value), [annotation("1")], VMRBENCH_V1)

    assert len(str(caught.value)) < 400


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)
KEYS = [
    *["qid", "vid", "query", "pred_relevant_windows", "pred_saliency_scores", "query_id", "predicted_times"],
    *["results", "annotation_uid", "query_idx", "SVMR", "video2idx", "desc_id", "predictions", "clip_uid"],
]
windows = st.lists(st.lists(st.floats() | st.integers(-5, 60) | json_values, max_size=4), max_size=3)
rows = st.fixed_dictionaries(
    {
        "qid": st.just(1) | json_values,
        "vid": st.just("v") | json_values,
        "pred_relevant_windows": windows | json_values,
    },
    optional={"pred_saliency_scores": st.lists(st.floats(), max_size=3) | json_values},
)
objects = rows | st.dictionaries(st.sampled_from(KEYS), json_values | windows, max_size=6)
results = st.lists(objects | json_values, max_size=3).map(lambda listed: {"results": listed})
texts = st.one_of(
    st.lists(objects, max_size=3).map(lambda listed: "\n".join(map(json.dumps, listed))),
    results.map(json.dumps),
    st.lists(objects, max_size=2).map(lambda listed: json.dumps({"SVMR": listed, "video2idx": {"v": 0}})),
    st.text(alphabet='[]{}:,"-0123456789.eEnulltrfas \n', max_size=60),
)


@settings(max_examples=150)
@given(text=texts)
def test_no_file_gives_anything_but_scores_or_one_clear_line(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    path = tmp_path_factory.getbasetemp() / "fuzzed.jsonl"
    path.write_text(text, encoding="utf-8", errors="surrogatepass")

    for protocol in (VMRBENCH_V1, QVHIGHLIGHTS_V1, EGO4D_NLQ_V1):
        told, scores = None, []
        try:
            submission = read_submission(path, [annotation("1")], protocol)
            result = score_submission(submission, [annotation("1")], protocol, name="f", intervals=False)
            scores = [found.value for found in result.scores.values()]
        except UserError as error:
            told = str(error)
        assert told is None or told.startswith(str(path)) or "annotated queries" in told
        assert all(0.0 <= value <= 100.0 for value in scores)


@settings(max_examples=100)
@given(data=st.binary(max_size=40))
def test_bytes_that_are_no_text_are_one_clear_line(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "bytes.jsonl"
    path.write_bytes(data)

    told = str(path)
    try:
        read_entries(path)
    except DataError as error:
        told = str(error)
    assert told.startswith(str(path))
