"""Clips are cut by Ego4D's rule, which is written out here as its script has it."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from flavour_shapes import EGO4D, SHAPES
from typer.testing import CliRunner

from vmrbench.cli import app
from vmrbench.data.annotations import read_annotations
from vmrbench.data.cut import KEEP_ALL, cut_clips
from vmrbench.data.features import FeatureSource, FeatureStore
from vmrbench.errors import ConfigError


def official_row(seconds: float, rounding: Any) -> int:
    return int(rounding(int(seconds * 30.0 / 16.0)))


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Annotations of one clip, and features of its whole video: 1,800 s in strides of 16 frames at 30 a second."""
    (tmp_path / "nlq_val.json").write_text(json.dumps(EGO4D), encoding="utf-8")
    (tmp_path / "whole").mkdir()
    torch.save(torch.arange(3375.0)[:, None] + torch.tensor([0.0, 0.25]), tmp_path / "whole" / "94cdabf3.pt")
    return tmp_path


def without_empty_queries() -> Any:
    document = json.loads(json.dumps(EGO4D))
    for annotation in document["videos"][0]["clips"][0]["annotations"]:
        annotation["language_queries"] = [row for row in annotation["language_queries"] if row.get("query")]
    return document


def call(place: Path, *more: str) -> Any:
    arguments = [
        "data",
        "cut",
        str(place / "nlq_val.json"),
        "--root",
        str(place / "whole"),
        "--out",
        str(place / "clips"),
    ]
    return CliRunner().invoke(app, [*arguments, *more], prog_name="vmrbench")


def test_a_clip_has_the_rows_of_the_official_script(place: Path) -> None:
    whole = torch.load(place / "whole" / "94cdabf3.pt", weights_only=True)

    result = call(place)

    assert (result.exit_code, result.output) == (0, f"wrote 1 clips to {place / 'clips'}\n")
    first, last = official_row(300.0210286, math.floor), official_row(780.0210286, math.ceil)
    cut = torch.load(place / "clips" / "c8fbfd9c.pt", weights_only=True)
    assert torch.equal(cut, whole[first : last + 1])
    assert (first, len(cut)) == (562, 901)


def test_the_doctor_finds_nothing_wrong_with_what_was_cut(place: Path) -> None:
    call(place)
    (place / "nlq_val.json").write_text(json.dumps(without_empty_queries()), encoding="utf-8")

    doctor = ["data", "doctor", "--annotations", str(place / "nlq_val.json"), "--layout", "ego4d/nlq"]
    result = CliRunner().invoke(app, [*doctor, "--root", str(place / "clips")], prog_name="vmrbench")

    assert result.exit_code == 0, result.output


def test_only_the_clip_is_saved(place: Path) -> None:
    call(place)

    assert (place / "clips" / "c8fbfd9c.pt").stat().st_size < 901 * 2 * 4 + 2000


def test_a_video_that_ends_before_its_clip_is_refused(place: Path) -> None:
    torch.save(torch.ones(500, 2), place / "whole" / "94cdabf3.pt")

    result = call(place)

    assert result.exit_code == 2
    assert "clip 'c8fbfd9c' of '94cdabf3' has rows 562 to 1462, the video has 500" in result.output


def test_a_video_may_end_two_rows_before_its_clip_and_no_more(place: Path) -> None:
    whole = place / "whole" / "94cdabf3.pt"
    torch.save(torch.ones(1461, 2), whole)
    assert call(place).exit_code == 0
    torch.save(torch.ones(1460, 2), whole)

    assert call(place).exit_code == 2
    assert len(torch.load(place / "clips" / "c8fbfd9c.pt", weights_only=True)) == 899


@pytest.mark.parametrize("name", ["../evil", "/evil", "a\\b", "..", ""])
def test_a_name_that_leads_out_of_the_folder_is_refused(place: Path, name: str) -> None:
    document = json.loads(json.dumps(EGO4D))
    document["videos"][0]["clips"][0]["clip_uid"] = name
    (place / "nlq_val.json").write_text(json.dumps(document), encoding="utf-8")

    assert call(place).exit_code == 2
    assert not list(place.rglob("*evil*"))


def test_a_clip_of_two_videos_is_refused(place: Path) -> None:
    document = json.loads(json.dumps(EGO4D))
    again = json.loads(json.dumps(document["videos"][0])) | {"video_uid": "another"}
    again["clips"][0]["annotations"][0]["annotation_uid"] = "other"
    document["videos"].append(again)
    (place / "nlq_val.json").write_text(json.dumps(document), encoding="utf-8")

    assert "is said to be of video '94cdabf3' and of 'another'" in call(place).output


def test_a_file_where_the_folder_should_be_is_refused(place: Path) -> None:
    (place / "clips").write_text("")

    result = call(place)

    assert (result.exit_code, "cannot be a folder" in result.output) == (2, True)


def test_a_video_without_features_is_named(place: Path) -> None:
    (place / "whole" / "94cdabf3.pt").rename(place / "whole" / "other.pt")

    assert "no clips features of '94cdabf3'" in call(place).output


def test_other_flavours_are_refused(place: Path) -> None:
    (place / "nlq_val.json").write_text(SHAPES["tacos"].written(), encoding="utf-8")

    assert "does not tell where its clip lies" in call(place).output


def test_a_source_without_a_stride_is_refused(place: Path) -> None:
    store = FeatureStore(FeatureSource(path=place / "whole", encoder="slowfast", pattern="{video_id}.pt"))
    annotations = read_annotations(place / "nlq_val.json", policy=KEEP_ALL)

    with pytest.raises(ConfigError, match="stride_frames and fps are needed to cut clips"):
        cut_clips(annotations, store, place / "clips")
