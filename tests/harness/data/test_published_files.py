"""Every annotation file of the shared data, against the counts and statistics that its README gives."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from statistics import mean, median

import pytest

from vmrbench.data.annotation_findings import LENIENT, annotation_findings
from vmrbench.data.annotations import AnnotationFile, read_annotations
from vmrbench.data.flavours.options import FlavourOptions

CSV = ("charades_sta/Charades_v1_train.csv", "charades_sta/Charades_v1_test.csv")
JSON = ("charades_sta/charades_durations_vslnet.json",)


@dataclass(frozen=True)
class Row:
    """A row of the README: moment is mean and median of the windows' lengths; frac those of
    their shares of the video, behind which nothing counts.

    beyond: windows that end after the video; others: further defects; repeated: repeated pairs of video and sentence.
    """

    queries: int
    videos: int
    per_query: float
    moment: tuple[float, float]
    frac: tuple[float, float]
    beyond: int = 0
    others: dict[str, int] = field(default_factory=dict)
    repeated: int = 0
    known: str = ""


ROWS = {
    "charades_sta/charades_sta_train.txt": Row(
        12408, 5338, 1, (8.3, 7.4), (0.269, 0.251), 1802, known="Charades-STA train (VSLNet)"
    ),
    "charades_sta/charades_sta_test.txt": Row(
        3720, 1334, 1, (8.0, 7.1), (0.271, 0.256), 562, known="Charades-STA test (2D-TAN, VSLNet)"
    ),
    "charades_sta/charades_train_release.jsonl": Row(
        12404, 5336, 1, (8.2, 7.3), (0.269, 0.251), known="Charades-STA train (Lighthouse, windows cut to the video)"
    ),
    "charades_sta/charades_test_release.jsonl": Row(
        3720, 1334, 1, (7.8, 7.0), (0.271, 0.256), known="Charades-STA test (Lighthouse, windows cut to the video)"
    ),
    "activitynet_captions/train.json": Row(
        37421,
        10009,
        1,
        (35.5, 21.2),
        (0.306, 0.225),
        29,
        {"zero_length": 2, "reversed": 2},
        5,
        "ActivityNet Captions train (VSLNet)",
    ),
    "activitynet_captions/val_1.json": Row(
        17505, 4917, 1, (37.7, 22.9), (0.323, 0.250), 5, {}, 3, "ActivityNet Captions val_1 = VSLNet test"
    ),
    "activitynet_captions/val_2.json": Row(
        17031, 4885, 1, (40.2, 26.4), (0.346, 0.290), 1, known="ActivityNet Captions val_2 = VSLNet val"
    ),
    "activitynet_captions/activitynet_val_2.jsonl": Row(
        17031, 4885, 1, (40.2, 26.4), (0.346, 0.290), 1, known="ActivityNet Captions val_2 = 2D-TAN test"
    ),
    "tacos/train.json": Row(9790, 75, 1, (23.3, 10.8), (0.102, 0.062), 43, {}, 1710, "TACoS train (2D-TAN)"),
    "tacos/val.json": Row(4436, 27, 1, (34.3, 15.9), (0.085, 0.048), 0, {}, 796, "TACoS val (2D-TAN)"),
    "tacos/test.json": Row(4001, 25, 1, (31.9, 14.4), (0.088, 0.050), 5, {}, 839, "TACoS test (2D-TAN)"),
    "tacos/tacos_train_release.jsonl": Row(
        9790, 75, 1, (23.3, 10.8), (0.102, 0.062), 0, {}, 1710, "TACoS train (Lighthouse)"
    ),
    "tacos/tacos_val_release.jsonl": Row(
        4436, 27, 1, (34.3, 15.9), (0.085, 0.048), 0, {}, 796, "TACoS val (Lighthouse)"
    ),
    "tacos/tacos_test_release.jsonl": Row(
        4001, 25, 1, (31.9, 14.4), (0.088, 0.050), 0, {}, 839, "TACoS test (Lighthouse)"
    ),
    "qvhighlights/highlight_train_release.jsonl": Row(
        7218, 7100, 1.77, (25.1, 16.0), (0.168, 0.107), known="QVHighlights train"
    ),
    "qvhighlights/highlight_val_release.jsonl": Row(
        1550, 1519, 1.81, (23.2, 16.0), (0.155, 0.107), known="QVHighlights val"
    ),
    "qvhighlights/highlight_test_with_gt.jsonl": Row(
        1542, 1529, 1.79, (23.8, 16.0), (0.159, 0.107), known="QVHighlights test"
    ),
    "didemo/val_data.json": Row(4180, 1094, 1, (6.4, 5.0), (0.222, 0.167), known="DiDeMo val"),
    "didemo/test_data.json": Row(4021, 1037, 1, (6.5, 5.0), (0.221, 0.167), known="DiDeMo test"),
}


@cache
def read(shared: Path, name: str, durations: tuple[str, ...] = CSV) -> AnnotationFile:
    paths = tuple(shared / "data" / path for path in durations)
    return read_annotations(shared / "data" / name, options=FlavourOptions(durations=paths), policy=LENIENT)


@pytest.mark.slow
@pytest.mark.parametrize("name", ROWS)
def test_published_file_has_its_published_counts_and_statistics(shared_dir: Path, name: str) -> None:
    row, file = ROWS[name], read(shared_dir, name)
    windows = [(start, end, annotation.duration) for annotation in file for start, end in annotation.moments]
    lengths = [end - start for start, end, _ in windows]
    shares = [(min(end, duration) - start) / duration for start, end, duration in windows]

    assert (len(file), len({a.video_id for a in file})) == (row.queries, row.videos)
    assert len(windows) / len(file) == pytest.approx(row.per_query, abs=0.005)
    assert (mean(lengths), median(lengths)) == pytest.approx(row.moment, abs=0.051)
    assert (mean(shares), median(shares)) == pytest.approx(row.frac, abs=0.00051)
    found = dict(file.defects.found)
    assert found.pop("rounding", 0) + found.pop("beyond_video", 0) == row.beyond
    assert found == row.others
    assert file.known_split is not None
    assert (file.known_split.name, file.known_split.queries, file.known_split.videos) == (
        row.known,
        row.queries,
        row.videos,
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name, row in ROWS.items() if row.repeated])
def test_published_file_repeats_as_many_queries_as_published(shared_dir: Path, name: str) -> None:
    found = annotation_findings(shared_dir / "data" / name)

    assert [finding.count for finding in found if finding.check == "repeated_queries"] == [ROWS[name].repeated]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["charades_sta/charades_sta_train.txt", "charades_sta/charades_sta_test.txt"])
def test_both_sources_of_charades_durations_say_the_same(shared_dir: Path, name: str) -> None:
    assert read(shared_dir, name, CSV).fingerprint == read(shared_dir, name, JSON).fingerprint


@pytest.mark.slow
def test_the_test_split_without_truth_asks_what_the_one_with_truth_asks(shared_dir: Path) -> None:
    bare = read(shared_dir, "qvhighlights/highlight_test_release.jsonl")
    whole = read(shared_dir, "qvhighlights/highlight_test_with_gt.jsonl")

    assert bare.defects.found == {"no_truth": 1542}
    assert {a.sample_id: a.sentence for a in bare} == {a.sample_id: a.sentence for a in whole}


@pytest.mark.slow
@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_tacos_in_frames_and_in_seconds_agree_to_the_bit(shared_dir: Path, split: str) -> None:
    frames, seconds = read(shared_dir, f"tacos/{split}.json"), read(shared_dir, f"tacos/tacos_{split}_release.jsonl")

    assert [a.sample_id.replace(".avi", "") for a in frames] == [a.sample_id for a in seconds]
    assert [a.duration for a in frames] == [a.duration for a in seconds]
    # Lighthouse's windows are cut to the video.
    assert [(s, min(e, a.duration)) for a in frames for s, e in a.moments] == [w for a in seconds for w in a.moments]


def test_real_set_of_this_project_is_read(shared_dir: Path) -> None:
    file = read(shared_dir, "realmini/realmini_gold.jsonl")

    assert (len(file), len({a.video_id for a in file})) == (32, 5)
    assert sum(len(a.moments) > 1 for a in file) == 10
