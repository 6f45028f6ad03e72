"""`vmrbench data doctor`: every finding on a data set with that mistake, made here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from vmrbench.cli import app

SWEEP = """\
datasets:
  - id: mine
    name: jsonl
    options:
      test: test.jsonl
      features:
        - {path: clips, encoder: c3d}
        - {path: text, encoder: bert, role: text, pattern: "{query_id}.npz"}
  - {id: made_up, name: simulated}
backbones:
  - {name: 2d_tan, preset: small}
trimmers:
  - name: none
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three videos of 20 s with 10 rows of 2 s each, two queries a video: nothing is wrong."""
    monkeypatch.chdir(tmp_path)
    Path("benchmarks.yaml").write_text(SWEEP, encoding="utf-8")
    for name in ("clips", "text"):
        Path(name).mkdir()
    for video in "abc":
        save(f"clips/{video}", np.ones((10, 4)))
        for number in range(2):
            save(f"text/{video}{number}", np.ones((5, 3)))
    write([query(f"{video}{number}", video) for video in "abc" for number in range(2)])
    return tmp_path


def save(name: str, rows: Any) -> None:
    np.savez(f"{name}.npz", features=rows)


def query(qid: str, video: str, *, window: tuple[float, float] = (2.0, 6.0), duration: float = 20.0) -> dict[str, Any]:
    return {"qid": qid, "query": "a dog", "vid": video, "duration": duration, "relevant_windows": [list(window)]}


def write(rows: list[dict[str, Any]]) -> None:
    Path("test.jsonl").write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")


def test_files_of_one_name_have_a_page_each() -> None:
    write([query("a0", "a", window=(2.0, 90.0))])
    for folder in ("x", "y"):
        Path(folder).mkdir()
    Path("test.jsonl").rename("x/test.jsonl")
    write([query("b0", "b")])
    Path("test.jsonl").rename("y/test.jsonl")

    for files in (["x/test.jsonl", "y/test.jsonl"], ["y/test.jsonl", "x/test.jsonl"]):
        result = call("--annotations", files[0], "--annotations", files[1])
        assert result.exit_code == 1
        assert [f"## {file}: {file}" in result.stdout for file in files] == [True, True]


def call(*arguments: str) -> Any:
    return CliRunner().invoke(app, ["data", "doctor", *arguments], prog_name="vmrbench")


def findings(*arguments: str) -> dict[str, dict[str, Any]]:
    """What is wrong, by check; facts are left out."""
    result = call(*(arguments or ("mine",)), "--json")
    (split,) = json.loads(result.stdout)["splits"].values()
    wrong = [finding for finding in split["findings"] if finding["level"] != "fact"]
    assert result.exit_code == (1 if wrong else 0)
    assert len({finding["check"] for finding in wrong}) == len(wrong)
    return {finding["check"]: finding for finding in wrong}


def test_data_set_without_mistakes_is_clean() -> None:
    assert findings() == {}


def test_table_says_what_is_there() -> None:
    result = call("mine")

    assert result.exit_code == 0
    assert "| `" in result.stdout
    for said in ("100.00 % of 3", "100.00 % of 6", "6 queries, 6 windows, 3 videos", "Nothing is wrong."):
        assert said in result.stdout


def test_json_gives_coverage_widths_and_seconds_a_row() -> None:
    sources = json.loads(call("mine", "--json").stdout)["splits"]["test"]["sources"]

    clips = {
        key: sources[0][key] for key in ("wanted", "covered", "coverage_percent", "widths", "rows", "clip_seconds")
    }
    assert clips == {
        "wanted": 3,
        "covered": 3,
        "coverage_percent": 100.0,
        "widths": {"4": 3},
        "rows": 30,
        "clip_seconds": 2.0,
    }
    assert sources[1]["clip_seconds"] is None


def test_missing_features_are_counted(folder: Path) -> None:
    (folder / "clips" / "b.npz").unlink()
    (folder / "text" / "a1.npz").unlink()
    (folder / "text" / "b0.npz").unlink()
    result = json.loads(call("mine", "--json").stdout)["splits"]["test"]

    missing = [finding for finding in result["findings"] if finding["check"] == "coverage"]

    assert [(finding["count"], finding["first"]) for finding in missing] == [(1, "b"), (2, "a1")]
    assert "66.67 % of 3 are covered" in missing[0]["message"]


def test_every_bad_file_is_counted_not_the_first_alone() -> None:
    for video in "ac":
        Path(f"clips/{video}.npz").write_bytes(b"PK\x03\x04 cut short")

    found = findings()["readable"]

    assert (found["level"], found["count"], found["first"]) == ("error", 2, "a")


def test_width_that_differs_is_found() -> None:
    save("clips/b", np.ones((10, 5)))

    found = findings()["widths"]

    assert found["count"] == 1
    assert "4 (2 ids), 5 (1 ids)" in found["message"]


@pytest.mark.parametrize("value", [np.nan, -np.inf])
def test_values_that_are_not_finite_are_found(value: float) -> None:
    rows = np.ones((10, 4))
    rows[3, 1] = value
    save("clips/c", rows)

    assert findings()["not_finite"]["first"] == "c"


def test_features_that_were_filled_with_zeros_are_found() -> None:
    save("text/a0", np.zeros((5, 3)))

    assert findings()["zeros"]["first"] == "a0"


def test_rows_that_do_not_fit_the_duration_are_found_with_the_length_that_would() -> None:
    # 20 rows in 20 s: one second a row, two were declared.
    for video in "abc":
        save(f"clips/{video}", np.ones((20, 4)))
    save("clips/b", np.ones((21, 4)))

    found = findings()["strides"]

    assert (found["count"], found["first"]) == (3, "a")
    assert "worst 'b' by +22.00 s" in found["message"]
    assert "has the median 1 s, declared is 2.0" in found["message"]


def test_one_row_more_or_less_is_no_finding() -> None:
    save("clips/b", np.ones((11, 4)))
    save("clips/c", np.ones((9, 4)))

    assert findings() == {}


def test_truth_after_the_last_row_is_found() -> None:
    save("clips/b", np.ones((6, 4)))
    write([query("a0", "a"), query("b0", "b", window=(13.0, 16.0)), query("b1", "b", window=(11.0, 13.5))])

    found = findings()

    assert found["truth_beyond_features"]["message"].startswith("1 windows begin after the last row")
    assert found["truth_beyond_features"]["first"] == "b0"


def test_truth_that_ends_after_the_last_row_is_found() -> None:
    save("clips/b", np.ones((6, 4)))
    write([query("a0", "a"), query("b1", "b", window=(11.0, 16.0))])

    assert findings()["truth_beyond_features"]["message"].startswith("1 windows end more than a row after")


def test_truth_beyond_the_video_is_found() -> None:
    write([query("a0", "a", window=(18.0, 21.0)), query("a1", "a")])

    found = findings()["beyond_video"]

    assert found["count"] == 1
    assert "'a0'" in found["first"]


def test_ids_that_come_twice_are_found() -> None:
    write([query("a0", "a"), query("a0", "b"), query("c0", "c")])

    found = findings()["duplicate_id"]

    assert found["count"] == 1
    assert "'a0'" in found["first"]


def test_fingerprint_does_not_depend_on_order_or_ids() -> None:
    def printed() -> str:
        found = json.loads(call("mine", "--json").stdout)["splits"]["test"]["findings"]
        return str(next(f["message"] for f in found if f["check"] == "fingerprint"))

    rows = [query("a0", "a"), query("b0", "b", window=(1.0, 3.0))]
    write(rows)
    first = printed()
    write([{**rows[1], "qid": "a1"}, {**rows[0], "qid": "b1"}])
    second = printed()
    write([rows[0], query("b0", "b", window=(1.0, 3.5))])

    assert first == second != printed()


def test_sources_that_differ_in_rows_are_found() -> None:
    Path("more").mkdir()
    for video, rows in (("a", 10), ("b", 13), ("c", 9)):
        save(f"more/{video}", np.ones((rows, 2)))

    found = findings(
        "--annotations", "test.jsonl", "--source", "path=clips,encoder=c3d", "--source", "path=more,encoder=x"
    )

    assert (found["row_counts"]["level"], found["row_counts"]["first"]) == ("error", "b")


def test_features_may_be_given_by_options() -> None:
    source = "path=clips,encoder=c3d,pattern={video_id}.npz,ids=[lower, drop_suffix .avi],clip_seconds=2"

    assert findings("--annotations", "test.jsonl", "--source", source) == {}


def test_layout_may_be_given_by_options(folder: Path) -> None:
    (folder / "features" / "tacos").mkdir(parents=True)
    (folder / "clips").rename(folder / "features" / "tacos" / "clip")

    assert (
        findings("--annotations", "test.jsonl", "--layout", "lighthouse/tacos", "--root", "features", "--part", "clip")
        == {}
    )


def test_annotations_alone_may_be_looked_over() -> None:
    assert findings("--annotations", "test.jsonl") == {}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "expected the id of a data set"),
        (("mine", "--annotations", "test.jsonl"), "expected the id of a data set"),
        (("min",), "did you mean 'mine'"),
        (("made_up",), "no files to look over"),
        (("mine", "--layout", "lighthouse/tacos"), "DATASET brings its own"),
        (("--annotations", "absent.jsonl"), "absent.jsonl: annotations cannot be read"),
        (("--annotations", "test.jsonl", "--source", "clips"), "KEY=VALUE expected"),
        (("--annotations", "test.jsonl", "--source", "path=clips,encodr=c3d"), "did you mean 'encoder'"),
        (("--annotations", "test.jsonl", "--source", "path=absent"), "absent does not exist"),
        (("--annotations", "test.jsonl", "--layout", "lighthouse"), "has no data set ''"),
        (("--annotations", "test.jsonl", "--layout", "light/tacos"), "expected one of"),
    ],
)
def test_bad_input_is_told_in_one_line(arguments: tuple[str, ...], said: str) -> None:
    result = call(*arguments)

    assert result.exit_code == 2
    assert said in result.stderr
    assert result.stderr.count("\n") == 1


def test_real_features_fit_their_annotations(shared_dir: Path) -> None:
    real = shared_dir / "data" / "realmini"
    source = f"path={real}/realmini_effnetlite0_2fps_fp16.npz,encoder=efficientnet_lite0,clip_seconds=0.5"

    found = findings("--annotations", str(real / "realmini_gold.jsonl"), "--source", source)

    assert found == {}


def test_real_features_at_a_wrong_stride_are_found(shared_dir: Path) -> None:
    real = shared_dir / "data" / "realmini"
    source = f"path={real}/realmini_effnetlite0_2fps_fp16.npz,encoder=efficientnet_lite0,clip_seconds=1.0"

    found = findings("--annotations", str(real / "realmini_gold.jsonl"), "--source", source)

    assert found["strides"]["count"] == 5
    assert "median 0.5 s" in found["strides"]["message"] or "median 0.49" in found["strides"]["message"]
