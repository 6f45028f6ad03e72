"""`vmrbench score --ood`: a system in and out of the distribution of train, on files as Charades-CD publishes them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from vmrbench.cli import app


def split(path: Path, prefix: str, windows: list[list[float]], duration: float) -> Path:
    """One video a window, in the published shape."""
    document = {
        f"{prefix}{place}": {
            "timestamps": [window],
            "framestamps": [[round(16 * edge) for edge in window]],
            "decode_fps": 16.0,
            "video_fps": -1.0,
            "sentences": ["person sits on the floor"],
            "encoded_sentences": [[1, 44, 4, 3, 51]],
            "video_duration": duration,
        }
        for place, window in enumerate(windows)
    }
    path.write_text(json.dumps(document), encoding="utf-8")
    return path


def answers(path: Path, prefix: str, windows: list[list[float]]) -> Path:
    lines = [
        {"qid": f"{prefix}{place}_0", "vid": f"{prefix}{place}", "pred_relevant_windows": [[*window, 1.0]]}
        for place, window in enumerate(windows)
    ]
    path.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    return path


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    """Train and iid lie early in the video, ood late; the system always answers the early window but once."""
    early, late = [0.0, 10.0], [30.0, 40.0]
    return {
        "train": split(tmp_path / "charades_train.json", "T", [early] * 4, 40.0),
        "iid": split(tmp_path / "charades_test_iid.json", "I", [early] * 4, 40.0),
        "ood": split(tmp_path / "charades_test_ood.json", "O", [late] * 4, 40.0),
        "iid_answers": answers(tmp_path / "iid.jsonl", "I", [early, early, early, late]),
        "ood_answers": answers(tmp_path / "ood.jsonl", "O", [early, early, early, late]),
    }


def score(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["score", *map(str, arguments)])


def both(files: dict[str, Path], *more: object) -> Result:
    given = (files["iid_answers"], "--annotations", files["iid"], "--train", files["train"])
    return score(*given, "--ood", files["ood_answers"], "--ood-annotations", files["ood"], *more)


def test_the_gap_is_ood_less_iid_with_an_interval(files: dict[str, Path]) -> None:
    found = json.loads(both(files, "--json").stdout)

    gap = found["ood"]["gaps"]["R1@0.5"]

    # 3 of 4 against 1 of 4.
    assert found["scores"]["R1@0.5"]["value"] == 75.0
    assert found["ood"]["scores"]["R1@0.5"]["value"] == 25.0
    assert gap["value"] == -50.0
    assert -100.0 <= gap["low"] < -50.0 < gap["high"] <= 50.0
    assert (gap["n"], gap["n_clusters"], found["ood"]["shared_source_videos"]) == (8, 8, 0)


def test_the_floors_are_on_both_splits_and_fitted_on_train(files: dict[str, Path]) -> None:
    found = json.loads(both(files, "--json").stdout)

    here, there = found["floors"], found["ood"]["floors"]

    # [0, 0.25] of the video is exactly the moment of train and iid, and meets none of ood; so does every draw.
    assert here["constant"]["mIoU"] == there["constant_window"]["mIoU"][1] * 400 == 100.0
    assert (there["constant"]["mIoU"], here["prior"]["mIoU"], there["prior"]["mIoU"]) == (0.0, 100.0, 0.0)
    assert here["whole_video"]["mIoU"] == there["whole_video"]["mIoU"] == 25.0
    assert found["ood"]["floor_gaps"]["constant window"]["mIoU"] == -100.0
    assert found["ood"]["floor_gaps"]["whole video"]["mIoU"] == 0.0


def test_the_page_shows_scores_gap_and_floors(files: dict[str, Path]) -> None:
    page = both(files).stdout

    assert "4 queries of 4 source videos like train (iid), 4 of 4 unlike it (ood)" in page
    (row,) = [line for line in page.splitlines() if line.startswith("| R1@0.5") and "-50.00" in line]
    assert "75.00" in row
    assert "25.00" in row
    (floor,) = [
        line
        for line in page.splitlines()
        if line.startswith("| constant window") and "| mIoU" in " ".join(line.split())
    ]
    assert " ".join(floor.split()).endswith("| 100.0 | 0.0 | -100.0 |")


def test_videos_of_both_splits_are_counted(files: dict[str, Path], tmp_path: Path) -> None:
    again = split(tmp_path / "again.json", "I", [[30.0, 40.0]] * 4, 40.0)
    ours = answers(tmp_path / "again.jsonl", "I", [[30.0, 40.0]] * 4)
    given = (files["iid_answers"], "--annotations", files["iid"], "--ood", ours, "--ood-annotations", again)

    assert json.loads(score(*given, "--json").stdout)["ood"]["shared_source_videos"] == 4
    assert "4 source videos are in both" in score(*given).stdout


def test_without_the_split_nothing_is_said_of_it(files: dict[str, Path]) -> None:
    done = score(files["iid_answers"], "--annotations", files["iid"])

    assert "Out of distribution" not in done.stdout


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--ood", "ood_answers"), "found one of them; give both"),
        (("--ood-annotations", "ood"), "found one of them; give both"),
        (("--ood", "ood_answers", "--ood", "ood_answers", "--ood-annotations", "ood"), "found 2 files for 1"),
        (("--ood", "iid_answers", "--ood-annotations", "ood"), "has a prediction and no annotation"),
    ],
)
def test_a_mistake_is_one_line(files: dict[str, Path], options: tuple[str, ...], said: str) -> None:
    given = [files.get(option, option) for option in options]

    done = score(files["iid_answers"], "--annotations", files["iid"], *given)

    assert done.exit_code == 2
    assert len(done.stderr.strip().splitlines()) == 1
    assert said in done.stderr
