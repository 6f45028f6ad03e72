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

    options = ("--protocol", "qvhighlights-v1", "--against", theirs, "--train", annotations)
    done = score(ours, "--annotations", annotations, *options)

    assert done.exit_code == 0
    assert "protocol `qvhighlights-v1`, 6 queries, 6 videos, 6 source videos" in done.stdout
    assert "- reversed: 1. line 6, query '5': window 1: window [30.0, 20.0] ends before it starts" in done.stdout
    for section in ("Scored as it stands", "Against", "Query-blind floors", "By IoU and by length", "Protocol `qvh"):
        assert f"## {section}" in done.stdout
    assert "constant window, fitted on train" in done.stdout


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
