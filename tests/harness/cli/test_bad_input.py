"""Bad input through the real command line: one clear line, exit code 2, and nothing that was stored is lost."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from typer.testing import CliRunner, Result

from vmrbench.cli import app

SECONDS, ROWS = 40.0, 20
WIDTHS = {"clips": 6, "index": 4}
VIDEOS = {"train": ("a0", "a1", "a2", "a3"), "val": ("b0", "b1"), "test": ("c0", "c1", "c2")}
SWEEP = """\
device: cpu
plugins: [mine.py]
train: {base_epochs: 1, extra_epochs: 1, batch_size: 4}
cost: {memory: false, latency_samples: 0}
datasets:
  - id: small
    name: jsonl
    options:
      train: data/train.jsonl
      val: data/val.jsonl
      test: data/test.jsonl
      features:
        - {path: data/clips, encoder: slowfast}
        - {path: data/index, encoder: x3d_xs, role: index, group: Motion}
backbones:
  - {name: moment_detr, preset: small}
trimmers:
  - name: none
  - {id: half, name: uniform, options: {keep_ratio: 0.5}}
"""
CELLS = ("small/moment_detr/none/0", "small/moment_detr/half/0")

# A backbone that fails in its forward pass, with the error put in the place of ERROR.
FAILING = """
from dataclasses import dataclass
from torch import nn
from vmrbench import hookimpl
from vmrbench.errors import DataError
from vmrbench.specs import BackboneSpec

@dataclass(frozen=True, kw_only=True)
class Options:
    pass

class Failing(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Linear(1, 1)

    def forward(self, batch):
        raise ERROR

    def loss(self, outputs, batch):
        return {}

    def predict(self, outputs, batch):
        return None

@hookimpl
def vmr_backbones():
    return [BackboneSpec(name="failing", summary="", source="", options=Options, build=lambda options, dims: Failing())]
"""


def write_queries(path: Path, videos: tuple[str, ...], window: tuple[float, float] = (8.0, 16.0)) -> None:
    rows = [
        {
            "qid": f"{video}_{number}",
            "query": sentence,
            "vid": video,
            "duration": SECONDS,
            "relevant_windows": [list(window)],
        }
        for video in videos
        for number, sentence in enumerate(("a dog runs", "she opens the red door"))
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def write_features(folder: Path, group: str, video: str, width: int | None = None, nan_row: int | None = None) -> None:
    random = np.random.default_rng([ord(letter) for letter in group + video])
    rows = random.standard_normal((ROWS, width or WIDTHS[group])).astype(np.float32)
    if nan_row is not None:
        rows[nan_row, 0] = np.nan
    (folder / "data" / group).mkdir(parents=True, exist_ok=True)
    np.savez(folder / "data" / group / f"{video}.npz", features=rows)


@pytest.fixture(scope="module", autouse=True)
def no_pictures(without_pictures: Callable[[], Any]) -> Iterator[None]:
    with without_pictures():
        yield


def call(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments), prog_name="vmrbench")


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory, no_pictures: None) -> Path:
    """A folder with good input whose sweep has run."""
    folder = tmp_path_factory.mktemp("stored")
    for group in WIDTHS:
        for video in (name for names in VIDEOS.values() for name in names):
            write_features(folder, group, video)
    for split, videos in VIDEOS.items():
        write_queries(folder / "data" / f"{split}.jsonl", videos)
    (folder / "mine.py").write_text("")
    (folder / "benchmarks.yaml").write_text(SWEEP)
    result = call("run", str(folder / "benchmarks.yaml"))
    assert result.exit_code == 0, result.output
    return folder


@pytest.fixture
def folder(stored: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it, as working directory."""
    copy = tmp_path / "work"
    shutil.copytree(stored, copy)
    monkeypatch.chdir(copy)
    return copy


def snapshot(folder: Path) -> dict[str, str]:
    files = [path for path in (folder / "reports").rglob("*") if path.is_file()]
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def refusal(folder: Path, *arguments: str) -> str:
    """What follows `error: ` on the last line of stderr; everything stored before is still there, byte for byte."""
    before = snapshot(folder)
    result = call("run", *arguments)
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    assert before.items() <= snapshot(folder).items()
    message = result.stderr.splitlines()[-1].removeprefix("error: ")
    assert result.stderr.count("error: ") == 1
    assert result.stderr.count(message) == 1
    return message


def rewrite(folder: Path, old: str, new: str) -> None:
    text = SWEEP.replace(old, new)
    assert text != SWEEP
    (folder / "benchmarks.yaml").write_text(text)


def test_good_input_runs_and_says_only_what_it_does(stored: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(stored)

    result = call("run", "--overwrite", "always")

    assert result.exit_code == 0
    told = [line.split(" ", 1)[1] for line in result.stderr.splitlines()]
    steps = ("started", "base 1/1", "train 1/1", "predict", "predict with shuffled queries")
    steps += ("count multiply-adds of the backbone", "count multiply-adds")
    allowed = {f"{name}: {step}" for cell in CELLS for name in (cell, f"base of {cell}") for step in steps}
    assert [line for line in told if line not in allowed and ": done (" not in line] == []
    assert result.stdout.startswith("cells done: 2, failed: 0\nwrote ")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "name: moment_detr",
            "name: moment-detr",
            "benchmarks.yaml:16: backbones[0].name: no backbone is named 'moment-detr'; did you mean 'moment_detr'?",
        ),
        ("device: cpu", "devise: cpu", "benchmarks.yaml:1: devise: unknown key; did you mean 'device'?"),
        (
            "{keep_ratio: 0.5}",
            "{keep_ration: 0.5}",
            "benchmarks.yaml:19: trimmers[1].options.keep_ration: unknown option; did you mean 'keep_ratio'?",
        ),
        (
            "{path: data/clips, encoder:",
            "{path: data/clips, encodr:",
            "benchmarks.yaml:12: datasets[0].options.features[0].encodr: unknown option; did you mean 'encoder'?",
        ),
        (
            "role: index",
            "role: indx",
            "benchmarks.yaml:12: datasets[0].options.features[1].role: found 'indx', expected one of clips, index, "
            "text, finer; did you mean 'index'?",
        ),
        ("device: cpu", "device: cpu\ndevice: cpu", 'benchmarks.yaml:2: found duplicate key "device"'),
        (
            "batch_size: 4",
            "batch_size: 4, select_by: R1@05",
            "benchmarks.yaml:3: train.select_by: protocol 'vmrbench-v1' has no metric 'R1@05'; did you mean 'R1@0.5'?",
        ),
        (
            "preset: small}",
            "preset: small, train: {select_by: map}}",
            "benchmarks.yaml:16: backbones[0].train.select_by: protocol 'vmrbench-v1' has no metric 'map'",
        ),
        ("device: cpu", "device: cpu\nprecision: fp16", "precision: 'fp16' needs a CUDA device; use 'bf16' or 'fp32'"),
        ("data/index", "data/indx", "features of role 'index': {folder}/data/indx does not exist; check the path"),
    ],
)
def test_a_mistake_in_the_file_is_told_before_anything_runs(folder: Path, old: str, new: str, message: str) -> None:
    rewrite(folder, old, new)

    result = call("run")

    assert result.stderr.startswith(f"error: {message.format(folder=folder)}")
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    refusal(folder)


def test_cuda_on_a_machine_without_it_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)

    message = refusal(folder, "--device", "cuda")

    assert message == ("device: 'cuda' was asked for, but this machine offers no CUDA device; use 'auto' or 'cpu'")


def no_feature_file(folder: Path) -> str:
    (folder / "data/clips/c1.npz").unlink()
    return (
        f"{folder}/data/clips/c1.npz: no clips features of 'c1'; 1 of 3 are missing; "
        "extract them, or correct path, pattern and ids"
    )


def moment_beyond_the_video(folder: Path) -> str:
    write_queries(folder / "data/test.jsonl", VIDEOS["test"], window=(30.0, 48.0))
    return (
        f"{folder}/data/test.jsonl:1, qid 'c0_0': relevant_windows[0]: [30, 48] lies beyond the video of 40 s; "
        "mend the file, or declare beyond_video: clip, drop or keep"
    )


def empty_split(folder: Path) -> str:
    (folder / "data/val.jsonl").write_text("\n")
    return (
        f"{folder}/data/val.jsonl: no query in the file; one object a line, a JSON document of a known flavour, or "
        "'VIDEO start end##sentence' lines expected"
    )


def nan_in_the_first_video(folder: Path) -> str:
    write_features(folder, "clips", "a0", nan_row=3)
    return f"{folder}/data/clips/a0.npz: features of 'a0': NaN or infinite in row 3 (1 of 20 rows); extract them again"


def plugin_that_raises_while_offering(folder: Path) -> str:
    (folder / "mine.py").write_text(
        "from vmrbench import hookimpl\n\n@hookimpl\ndef vmr_reporters():\n    return [1 / 0]\n"
    )
    return "mine.py: vmr_reporters() failed: division by zero"


@pytest.mark.parametrize(
    "spoil",
    [
        no_feature_file,
        moment_beyond_the_video,
        empty_split,
        nan_in_the_first_video,
        plugin_that_raises_while_offering,
    ],
)
def test_bad_data_and_plugins_are_told_before_anything_runs(folder: Path, spoil: Callable[[Path], str]) -> None:
    message = spoil(folder)

    assert refusal(folder, "--overwrite", "always") == message
    assert call("run").stderr == f"error: {message}\n"
    assert call("plan").exit_code == (0 if spoil is plugin_that_raises_while_offering else 2)


def nan_in_training(folder: Path) -> str:
    write_features(folder, "clips", "a2", nan_row=7)
    return f"{folder}/data/clips/a2.npz: features of 'a2': NaN or infinite in row 7 (1 of 20 rows); extract them again"


def nan_in_test(folder: Path) -> str:
    write_features(folder, "index", "c2", nan_row=0)
    return f"{folder}/data/index/c2.npz: features of 'c2': NaN or infinite in row 0 (1 of 20 rows); extract them again"


def another_width(folder: Path) -> str:
    write_features(folder, "index", "b1", width=5)
    return f"{folder}/data/index/b1.npz: features of 'b1' are 5 wide, 4 expected as for 'a0'"


@pytest.mark.parametrize("spoil", [nan_in_training, nan_in_test, another_width])
def test_bad_features_met_while_training_are_told_once_at_the_end(folder: Path, spoil: Callable[[Path], str]) -> None:
    message = spoil(folder)

    assert refusal(folder) == message


@pytest.mark.slow
def test_a_mistake_met_in_another_process_is_told_once_without_noise(folder: Path) -> None:
    message = nan_in_training(folder)

    result = call("run", "--set", "launcher={name: process}", "--only", "trimmer=none")

    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.count(message) == 1
    assert "Warning" not in result.stderr


def test_two_mistakes_are_counted(folder: Path) -> None:
    (folder / "mine.py").write_text(FAILING.replace("ERROR", 'DataError(f"width {batch.clips.shape[2]}: wrong")'))
    rewrite(folder, "{name: moment_detr, preset: small}", "name: failing")

    # Six clip features, and ten with the index beside them.
    assert refusal(folder) == "width 6: wrong (and 1 more)"


def test_other_cells_run_and_are_reported_where_one_backbone_meets_a_mistake(folder: Path) -> None:
    (folder / "mine.py").write_text(FAILING.replace("ERROR", 'DataError("no luck: bring some")'))
    rewrite(folder, "backbones:\n", "seeds: [1]\nbackbones:\n  - {name: failing}\n")

    result = call("run")

    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.splitlines()[-1] == "error: no luck: bring some"
    report = (folder / "reports/README.md").read_text()
    assert "moment_detr" in report
    assert "no luck: bring some" in report


def test_an_error_of_a_plugin_fails_its_cells_and_keeps_their_tracebacks(folder: Path) -> None:
    (folder / "mine.py").write_text(FAILING.replace("ERROR", 'RuntimeError("shapes do not fit")'))
    rewrite(folder, "backbones:\n", "backbones:\n  - {name: failing}\n")
    before = {path for path in snapshot(folder) if "/runs/" in path}

    result = call("run")

    assert result.exit_code == 1
    assert result.stdout.splitlines()[:3] == [
        "cells done: 2, failed: 2",
        "failed: small/failing/none/0: RuntimeError: shapes do not fit",
        "failed: small/failing/half/0: RuntimeError: shapes do not fit",
    ]
    assert "Traceback" not in result.stderr
    tracebacks = [path.read_text() for path in (folder / "reports/runs/failed").rglob("traceback.txt")]
    assert len(tracebacks) == 2
    assert all("mine.py" in text and text.endswith("RuntimeError: shapes do not fit\n") for text in tracebacks)
    assert before <= set(snapshot(folder))


def test_a_report_stays_where_no_cell_could_run(folder: Path) -> None:
    (folder / "mine.py").write_text(FAILING.replace("ERROR", "RuntimeError()"))
    rewrite(folder, "{name: moment_detr, preset: small}", "name: failing")
    before = snapshot(folder)

    result = call("run")

    assert result.exit_code == 1
    assert "wrote" not in result.stdout
    assert before.items() <= snapshot(folder).items()


def test_never_overwrite_tells_what_is_not_stored_and_keeps_no_failure(folder: Path) -> None:
    result = call("run", "--overwrite", "never", "--set", "seeds=[0, 5]")

    assert result.exit_code == 1
    assert result.stdout.splitlines()[:3] == [
        "cells done: 2, failed: 2",
        "failed: small/moment_detr/none/5: is not stored, and --overwrite is 'never'",
        "failed: small/moment_detr/half/5: is not stored, and --overwrite is 'never'",
    ]
    assert not (folder / "reports/runs/failed").exists()


def test_a_report_without_runs_is_refused(folder: Path) -> None:
    shutil.rmtree(folder / "reports")

    result = call("report")

    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == (
        f"error: {folder}/reports/runs: no cell of this sweep is stored; use 'vmrbench run' first\n"
    )
