import json
from dataclasses import replace
from pathlib import Path

import pytest

from vmrbench.data.annotations import read_annotations
from vmrbench.errors import DataError
from vmrbench.score.submission import read_predictions, write_predictions
from vmrbench.types import Annotation, Prediction


def annotation(sample_id: str) -> Annotation:
    return Annotation(sample_id=sample_id, video_id="v", sentence="señor opens", duration=9.0, moments=((1.0, 2.0),))


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    path = tmp_path / "predictions.jsonl"
    written = [
        Prediction(sample_id="7", video_id="v", moments=((1.1, 2.3, 0.25), (0.0, 0.1, -3.5))),
        Prediction(sample_id="s30-d52_0", video_id="v", moments=()),
    ]

    write_predictions(path, written, [annotation("7"), annotation("s30-d52_0")])

    assert read_predictions(path) == written


def test_whole_number_ids_are_written_as_numbers(tmp_path: Path) -> None:
    path = tmp_path / "predictions.jsonl"
    ids = ["12", "012", "a1"]

    write_predictions(path, [Prediction(sample_id=i, video_id="v", moments=()) for i in ids], [*map(annotation, ids)])

    assert [json.loads(line)["qid"] for line in path.read_text(encoding="utf-8").splitlines()] == [12, "012", "a1"]


@pytest.mark.parametrize("qid", [12, "12", "012", "s30-d52_0"])
def test_an_id_is_written_as_the_annotation_file_has_it(tmp_path: Path, qid: int | str) -> None:
    truth, path = tmp_path / "truth.jsonl", tmp_path / "predictions.jsonl"
    row = {"qid": qid, "query": "a door opens", "vid": "v", "duration": 9.0, "relevant_windows": [[1.0, 2.0]]}
    truth.write_text(json.dumps(row), encoding="utf-8")
    annotations = read_annotations(truth)
    predictions = [Prediction(sample_id=a.sample_id, video_id=a.video_id, moments=()) for a in annotations]

    write_predictions(path, predictions, annotations)

    found = json.loads(path.read_text(encoding="utf-8"))["qid"]
    assert (found, type(found)) == (qid, type(qid))
    assert read_predictions(path) == predictions


@pytest.mark.parametrize("other", [13, True, None, 12.0, ["12"]])
def test_a_qid_that_is_not_the_id_of_the_sample_is_not_written(tmp_path: Path, other: object) -> None:
    path = tmp_path / "predictions.jsonl"
    known = replace(annotation("12"), extra={"qid": other})

    write_predictions(path, [Prediction(sample_id="12", video_id="v", moments=())], [known])

    assert json.loads(path.read_text(encoding="utf-8"))["qid"] == 12


def test_a_line_holds_the_sentence_of_its_query(tmp_path: Path) -> None:
    path = tmp_path / "predictions.jsonl"

    write_predictions(path, [Prediction(sample_id="7", video_id="v", moments=((1.0, 2.0, 0.5),))], [annotation("7")])

    assert json.loads(path.read_text(encoding="utf-8")) == {
        "qid": 7,
        "query": "señor opens",
        "vid": "v",
        "pred_relevant_windows": [[1.0, 2.0, 0.5]],
    }


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "line 2: is no JSON"),
        ("[]", "line 2: found list"),
        ('{"vid": "v", "pred_relevant_windows": []}', "line 2: 'qid' is None"),
        ('{"qid": 8, "pred_relevant_windows": []}', "line 2: query '8': 'vid' is None"),
        ('{"qid": 8, "vid": "v"}', "line 2: query '8': 'pred_relevant_windows' is None"),
        ('{"qid": 8, "vid": "v", "pred_relevant_windows": [[1, 2]]}', "query '8': window 1: is [1, 2]"),
        ('{"qid": 8, "vid": "v", "pred_relevant_windows": [[1, 2, NaN]]}', "holds a number that is not finite"),
        ('{"qid": 8, "vid": "v", "pred_relevant_windows": [[1, 2, 0], [3, 2, 0]]}', "window 2: window [3.0, 2.0] ends"),
        ('{"qid": 8, "vid": "v", "pred_relevant_windows": [[2, 2, 0]]}', "has no length"),
        ('{"qid": "7", "vid": "v", "pred_relevant_windows": []}', "line 2: query '7' was on line 1"),
    ],
)
def test_a_fault_names_file_line_and_query(tmp_path: Path, line: str, message: str) -> None:
    path = tmp_path / "predictions.jsonl"
    path.write_text('{"qid": 7, "vid": "v", "pred_relevant_windows": []}\n' + line + "\n", encoding="utf-8")

    with pytest.raises(DataError) as caught:
        read_predictions(path)

    assert message in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.jsonl: cannot be read"):
        read_predictions(tmp_path / "none.jsonl")
