"""`vmrbench score` through the real command line."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from vmrbench.cli import app


@pytest.fixture
def annotations(tmp_path: Path) -> Path:
    rows = [
        {"qid": i, "query": "a door opens", "vid": f"v{i}", "duration": 100, "relevant_windows": [[10, 20]]}
        for i in range(6)
    ]
    return written(tmp_path / "truth.jsonl", rows)


def written(path: Path, rows: list[dict[str, object]]) -> Path:
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return path


def answers(path: Path, windows: list[list[float]]) -> Path:
    return written(path, [{"qid": i, "vid": f"v{i}", "pred_relevant_windows": [w]} for i, w in enumerate(windows)])


def score(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["score", *map(str, arguments)])


def test_a_page_names_the_protocol_and_holds_every_section(tmp_path: Path, annotations: Path) -> None:
    ours = answers(tmp_path / "ours.jsonl", [[10, 20, 0.5]] * 5 + [[30, 20, 0.5]])
    theirs = answers(tmp_path / "theirs.jsonl", [[10, 14, 0.5]] * 6)

    options = ("--protocol", "qvhighlights-v1", "--against", theirs, "--train", training(tmp_path))
    done = score(ours, "--annotations", annotations, *options)

    assert done.exit_code == 0
    assert "protocol `qvhighlights-v1`, 6 queries, 6 videos, 6 source videos" in done.stdout
    assert "- reversed: 1. line 6, query '5': window 1: window [30.0, 20.0] ends before it starts" in done.stdout
    for section in ("Scored as it stands", "Against", "Query-blind floors", "By IoU and by length", "Protocol `qvh"):
        assert f"## {section}" in done.stdout
    assert "constant window, fitted on train" in done.stdout


def test_further_metrics_stand_in_the_table_with_intervals_and_floors(tmp_path: Path, annotations: Path) -> None:
    # 10 to 14.6 s has IoU 0.46 of the truth.
    ours = answers(tmp_path / "ours.jsonl", [[10, 14.6, 0.5]] * 3 + [[50, 60, 0.5]] * 3)
    asked = ("--metric", "R1@0.45", "--metric", "R7@0.47", "--metric", "dR3@0.45")

    done = score(ours, "--annotations", annotations, *asked, "--train", training(tmp_path), "--json")

    found = json.loads(done.stdout)
    assert [found["scores"][name]["value"] for name in asked[1::2]] == pytest.approx([50.0, 0.0, 50 * (1 - 0.054)])
    assert found["scores"]["R1@0.45"]["low"] is not None
    assert found["floors"]["constant"]["R1@0.45"] == 100.0
    wrong = score(ours, "--annotations", annotations, "--metric", "R1")
    assert (wrong.exit_code, wrong.stderr.count("\n")) == (2, 1)


def test_the_page_says_where_source_videos_are_few(tmp_path: Path, annotations: Path) -> None:
    done = score(answers(tmp_path / "ours.jsonl", [[10, 20, 0.5]] * 6), "--annotations", annotations)

    assert "With fewer than 30 source videos the intervals are too narrow" in done.stdout


def test_ratings_of_other_raters_leave_moments_scored(tmp_path: Path) -> None:
    row = {"qid": 0, "query": "a lamp", "vid": "v0", "duration": 10, "relevant_windows": [[2, 4]]}
    truth = written(tmp_path / "two.jsonl", [row | {"relevant_clip_ids": [1], "saliency_scores": [[4, 4]]}])
    answer = {"qid": 0, "vid": "v0", "pred_relevant_windows": [[2, 4, 1]], "pred_saliency_scores": [0, 1, 0, 0, 0]}

    done = score(written(tmp_path / "p.jsonl", [answer]), "--annotations", truth)

    assert done.exit_code == 0
    assert "No highlight scores: annotation '0': saliency_scores have shape (1, 2); expected 1 x 3." in done.stdout


def test_a_broken_number_of_ranked_windows_is_shown_as_written(tmp_path: Path, annotations: Path) -> None:
    path = tmp_path / "ego.json"
    path.write_text('{"results": [{"query_id": 0, "predicted_times": [[1.0, 2.0], [NaN, 20.0]]}]}')

    done = score(path, "--annotations", annotations, "--protocol", "ego4d-nlq-v1")

    assert done.exit_code == 2
    assert "window 2: window [nan, 20.0] holds a number that is not finite" in done.stderr


def training(folder: Path) -> Path:
    row = {"qid": 90, "query": "a lamp", "vid": "t", "duration": 50, "relevant_windows": [[5, 10]]}
    return written(folder / "train.jsonl", [row])


def test_a_window_is_not_fitted_on_the_queries_it_is_scored_on(tmp_path: Path, annotations: Path) -> None:
    ours = answers(tmp_path / "ours.jsonl", [[10, 20, 0.5]] * 6)

    done = score(ours, "--annotations", annotations, "--train", annotations)

    assert done.exit_code == 2
    assert "holds the very queries of --annotations" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_file_with_several_splits_is_fitted_on_that_of_train(tmp_path: Path) -> None:
    def video(windows: list[list[float]]) -> dict[str, object]:
        said = [{"segment": w, "sentence": "a door", "sentence_id": f"{w}"} for w in windows]
        return {"duration": 100.0, "num_frames": 3000, "fps": 30.0, "annotations": said}

    both = tmp_path / "snag.json"
    both.write_text(json.dumps({"training": {"t": video([[0, 50]])}, "validation": {"v": video([[80.0, 90.0]])}}))
    ours = written(tmp_path / "p.jsonl", [{"qid": "[80.0, 90.0]", "vid": "v", "pred_relevant_windows": [[1, 2, 1]]}])
    how = (ours, "--annotations", both, "--flavour", "split=validation", "--train", both, "--json")

    split = json.loads(score(*how, "--train-flavour", "split=training").stdout)

    assert split["floors"]["constant"]["R1@0.5"] == 0.0
    assert score(*how).exit_code == 2


def test_predictions_for_dropped_queries_are_left_out(tmp_path: Path) -> None:
    rows = [
        {"qid": i, "query": "a door", "vid": "v", "duration": 100, "relevant_windows": [[10, 10 + 10 * i]]}
        for i in (0, 1)
    ]
    truth = written(tmp_path / "truth.jsonl", rows)
    lines = [{"qid": i, "vid": "v", "pred_relevant_windows": [[10, 20, 1.0]]} for i in (0, 1)]
    ours = written(tmp_path / "ours.jsonl", lines)

    found = json.loads(score(ours, "--annotations", truth, "--defects", "zero_length=drop", "--json").stdout)

    assert (found["scores"]["R1@0.7"]["value"], found["scores"]["R1@0.7"]["n"]) == (100.0, 1)
    assert found["annotations"]["queries_dropped"] == 1


def test_json_holds_what_the_page_holds(tmp_path: Path, annotations: Path) -> None:
    ours = answers(tmp_path / "ours.jsonl", [[10, 20, 0.5]] * 6)

    done = score(ours, "--annotations", annotations, "--json")
    found = json.loads(done.stdout)

    assert found["protocol"] == "vmrbench-v1"
    assert found["scores"]["R1@0.7"]["value"] == 100.0
    assert found["by_query"]["R1@0.7"]["n_clusters"] == 6
    assert {"details", "sensitivity", "floors", "faults", "changes", "rules"} <= set(found)


def test_several_files_share_one_table_of_conventions(tmp_path: Path, annotations: Path) -> None:
    exact = answers(tmp_path / "exact.jsonl", [[10, 20, 0.5]] * 6)
    half = answers(tmp_path / "half.jsonl", [[10, 15, 0.5]] * 6)

    shown = score(exact, half, "--annotations", annotations, "--sensitivity")
    plain = json.loads(score(exact, half, "--annotations", annotations, "--sensitivity", "--json").stdout)

    assert shown.exit_code == 0
    assert [path in shown.stdout for path in (str(exact), str(half))] == [True, True]
    values = [{row["name"]: row["value"] for row in each["sensitivity"]} for each in plain]
    assert [value["R1@0.5 >="] for value in values] == [100.0, 100.0]
    assert [value["R1@0.5 >"] for value in values] == [100.0, 0.0]


@pytest.mark.parametrize(
    ("window", "options", "message"),
    [
        ([20, 10, 1.0], (), "line 1: query '0': window 1: window [20.0, 10.0] ends before it starts"),
        ([10, 20, float("nan")], ("--protocol", "qvhighlights-v1"), "line 1: query '0': window 1"),
        ([10, 20, 1.0], ("--protocol", "qvhighlight-v1"), "did you mean 'qvhighlights-v1'?"),
        ([10, 20, 1.0], ("--against", "none.jsonl"), "none.jsonl: cannot be read"),
        ([10, 20, 1.0], ("--sensitivity", "--metric", "R3@0.5"), "--metric: the table of --sensitivity has its own"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(
    tmp_path: Path, annotations: Path, window: list[float], options: tuple[str, ...], message: str
) -> None:
    done = score(answers(tmp_path / "ours.jsonl", [window] * 6), "--annotations", annotations, *options)

    assert done.exit_code == 2
    assert done.stdout == ""
    assert message in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_annotations_of_another_flavour_bring_what_they_need(tmp_path: Path) -> None:
    truth, lengths = tmp_path / "truth.txt", tmp_path / "lengths.csv"
    truth.write_text("AB 1.0 9.0##a person sits.\nCD 5.0 25.0##a person runs.\n", encoding="utf-8")
    lengths.write_text("id,length\nAB,20.0\nCD,24.0\n", encoding="utf-8")
    ours = written(
        tmp_path / "ours.jsonl",
        [
            {"qid": "AB_0", "query": "a person sits.", "vid": "AB", "pred_relevant_windows": [[1.0, 9.0, 0.5]]},
            {"qid": "CD_0", "query": "a person runs.", "vid": "CD", "pred_relevant_windows": [[14.0, 24.0, 0.5]]},
        ],
    )
    given = (ours, "--annotations", truth, "--flavour", f"durations={lengths}")

    refused, page = score(*given), score(*given, "--defects", "beyond_video=clip")
    found = json.loads(score(*given, "--defects", "beyond_video=clip", "--json").stdout)

    assert refused.exit_code == 2
    assert "beyond_video" in refused.stderr or "leaves the video" in refused.stderr
    assert "Annotations: charades_sta, no split that is known" in page.stdout
    assert "1 of the kind beyond_video (clip)" in page.stdout
    assert found["scores"]["R1@0.5"]["value"] == 100.0
    assert found["annotations"]["defects"] == {"beyond_video": {"found": 1, "policy": "clip"}}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--flavour", "splt=test"), "--flavour.splt: unknown option"),
        (("--flavour", "split"), "--flavour split: expected KEY=VALUE"),
        (("--flavour", "split=a", "--flavour", "split=b"), "--flavour split: given twice"),
        (("--defects", "reversed=mend"), "--defects.reversed"),
    ],
)
def test_a_mistake_about_annotations_is_one_line(
    tmp_path: Path, annotations: Path, options: tuple[str, ...], said: str
) -> None:
    done = score(answers(tmp_path / "ours.jsonl", [[10, 20, 0.5]] * 6), "--annotations", annotations, *options)

    assert done.exit_code == 2
    assert len(done.stderr.splitlines()) == 1
    assert said in done.stderr
