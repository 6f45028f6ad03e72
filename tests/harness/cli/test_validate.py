"""`vmrbench validate` says how much there is and what was looked at, of a sweep and of a predictions file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from vmrbench.cli import app

SWEEP = """\
seeds: [0, 1]
train: {base_epochs: 1}
datasets:
  - id: tiny
    name: simulated
    options: {profile: tacos, videos_train: 4, videos_val: 2, videos_test: 3, queries_per_video: 2}
backbones: [{name: moment_detr, preset: small}, {name: whole_video}]
trimmers: [{name: none}, {name: all}]
probes: [{name: zeroed_video}]
"""


def validate(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["validate", *map(str, arguments)])


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    path = tmp_path / "sweep.yaml"
    path.write_text(SWEEP)
    return path


@pytest.fixture
def truth(tmp_path: Path) -> Path:
    rows = [
        {"qid": i, "query": "a door opens", "vid": f"v{i // 2}", "duration": 100, "relevant_windows": [[10, 20]]}
        for i in range(5)
    ]
    return written(tmp_path / "truth.jsonl", rows)


def written(path: Path, rows: list[dict[str, object]]) -> Path:
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return path


def answers(path: Path, windows: list[list[list[float]]]) -> Path:
    rows = [{"qid": i, "vid": f"v{i // 2}", "pred_relevant_windows": found} for i, found in enumerate(windows)]
    return written(path, rows)


GOOD = [
    [[10.0, 20.0, 0.9]],
    [[1.0, 2.0, 0.9], [3.0, 4.0, 0.8], [5.0, 6.0, 0.7]],
    [],
    [[0.0, 9.0, 1.0]] * 2,
    [[0.0, 1.0, 1.0]],
]


def test_a_sweep_is_counted_without_its_data(sweep: Path) -> None:
    lines = validate(sweep).stdout.splitlines()

    # Two trimmers of the model and one of the floor, twice.
    assert lines[0] == f"{sweep}: valid, 6 cells"
    assert lines[1] == "1 data set, 2 backbones, 2 trimmers, 2 seeds, 1 probe"
    assert lines[2:4] == [
        "query-blind, with one trimmer alone: whole_video",
        "data sets were not read; --data reads them",
    ]
    assert lines[4].startswith("checked: keys, types and limits; names of plug-ins")


def test_with_its_data_queries_and_videos_are_counted(sweep: Path) -> None:
    lines = validate(sweep, "--data").stdout.splitlines()

    expected = "data set tiny: train 8 queries of 4 videos, val 4 queries of 2 videos, test 6 queries of 3 videos"
    assert lines[3] == expected
    assert lines[-1].endswith("the splits that its cells read")


def test_a_floor_alone_needs_the_test_split_alone(sweep: Path) -> None:
    found = json.loads(validate(sweep, "--data", "--only", "backbone=whole_video", "--json").stdout)

    assert found["splits"] == {"tiny": {"test": {"queries": 6, "videos": 3}}}
    assert (found["cells"], found["counts"]["trimmers"]) == (2, 1)


def test_a_predictions_file_is_counted(tmp_path: Path, truth: Path) -> None:
    ours = answers(tmp_path / "ours.jsonl", GOOD)

    lines = validate(ours, "--annotations", truth).stdout.splitlines()

    # 1, 3, 0, 2 and 1 windows.
    assert lines[0] == f"{ours}: valid under vmrbench-v1"
    assert lines[2] == "queries: 5 of 5 answered, 3 videos, 3 source videos"
    assert lines[3] == "windows: 7 (0 to 3 a query, median 1); saliency scores for 0 queries"
    assert lines[4] == "scored as it stands: no window 1"
    assert "lists: sorted by score (refused where not)" in lines[5]


def test_what_a_published_protocol_scores_as_it_stands_is_counted(tmp_path: Path, truth: Path) -> None:
    odd = [
        [[20.0, 10.0, 0.9]],
        [[1.0, 2.0, 0.1], [1.0, 2.0, 0.9]],
        [[90.0, 120.0, 1.0]],
        [[5.0, 5.0, 1.0]],
        [[1.0, 0.5, 1.0]],
    ]
    ours = answers(tmp_path / "ours.jsonl", odd)

    found = json.loads(validate(ours, "--annotations", truth, "--protocol", "qvhighlights-v1", "--json").stdout)

    assert found["faults"] == {"reversed": 2, "unsorted": 1, "beyond the video": 1, "empty": 1}
    assert "lists: sorted by score (listed where not)" in found["checked"]


def test_missing_queries_are_counted_where_the_protocol_drops_them(tmp_path: Path, truth: Path) -> None:
    ours = answers(tmp_path / "ours.jsonl", GOOD[:3])

    dropped = json.loads(validate(ours, "--annotations", truth, "--protocol", "ego4d-nlq-v1", "--json").stdout)
    refused = validate(ours, "--annotations", truth)

    assert (dropped["answered"], dropped["queries"], dropped["faults"]["missing"]) == (3, 5, 2)
    assert refused.exit_code == 2
    assert "2 of 5 are missing" in refused.stderr


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--flavour", "split=a"), "read beside --annotations only"),
        (("--annotations", "truth.jsonl", "--data"), "are for a sweep, and FILE holds predictions"),
        (("--annotations", "gone.jsonl"), "gone.jsonl"),
    ],
)
def test_a_mistake_is_one_line(sweep: Path, options: tuple[str, ...], said: str) -> None:
    done = validate(sweep, *options)

    assert (done.exit_code, done.stdout) == (2, "")
    assert len(done.stderr.strip().splitlines()) == 1
    assert said in done.stderr
