"""Tests of the command line: output, exit codes, and one line for every mistake of the user."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from vmrbench import __version__
from vmrbench.cli import app
from vmrbench.cli.plan import plan_text
from vmrbench.store import PlanRow

SWEEP = """\
datasets:
  - name: simulated
backbones:
  - {name: 2d_tan, preset: small}
trimmers:
  - name: none
  - {id: half, name: uniform, options: {keep_ratio: 0.5}}
"""


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("benchmarks.yaml").write_text(SWEEP)
    return tmp_path


def call(*arguments: str):
    return CliRunner().invoke(app, list(arguments), prog_name="vmrbench")


def refusal(*arguments: str) -> str:
    result = call(*arguments)
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1
    return result.stderr


def test_version():
    assert call("version").stdout == f"{__version__}\n"


def test_validate_counts_the_cells():
    whole, half = call("validate").stdout.splitlines(), call("validate", "--only", "trimmer=half").stdout.splitlines()

    assert whole[:2] == ["benchmarks.yaml: valid, 2 cells", "1 data set, 1 backbone, 2 trimmers, 1 seed, 0 probes"]
    assert half[:2] == ["benchmarks.yaml: valid, 1 cell", "1 data set, 1 backbone, 1 trimmer, 1 seed, 0 probes"]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "2d_tan",
            "2d-tan",
            "benchmarks.yaml:4: backbones[0].name: no backbone is named '2d-tan'; did you mean '2d_tan'?",
        ),
        (
            "keep_ratio",
            "keep_rato",
            "benchmarks.yaml:7: trimmers[1].options.keep_rato: unknown option; did you mean 'keep_ratio'?",
        ),
        ("backbones:", "backbone:", "benchmarks.yaml:3: backbone: unknown key; did you mean 'backbones'?"),
        ("backbones:", "datasets:", 'benchmarks.yaml:3: found duplicate key "datasets"'),
        ("datasets:", "seeds: zero\ndatasets:", "benchmarks.yaml:1: seeds: found 'zero', expected a list"),
        ("datasets:", "device: gpu\ndatasets:", "benchmarks.yaml:1: device: found 'gpu', expected 'auto', 'cpu', "),
        ("datasets:", "plugins: [mine.py]\ndatasets:", "mine.py: vmr_backbones() failed: No module named 'einops_"),
        ("datasets:", "plugins: [gone.py]\ndatasets:", "gone.py: there is no such file"),
        ("datasets:", "launcher: {name: inlin}\ndatasets:", "benchmarks.yaml:1: launcher.name: no launcher is named"),
    ],
)
def test_a_mistake_in_the_file_is_one_line_and_exit_code_2(old, new, message):
    Path("mine.py").write_text(
        "from vmrbench import hookimpl\n@hookimpl\ndef vmr_backbones():\n    import einops_that_is_not_there\n"
    )
    Path("benchmarks.yaml").write_text(SWEEP.replace(old, new))

    assert refusal("validate").startswith(f"error: {message}")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("validate", "gone.yaml"), "gone.yaml: there is no such file"),
        (("run", "--device", "gpu"), "--device gpu: device: found 'gpu'"),
        (("run", "--set", "train.epochs=1"), "--set train.epochs=1: train.epochs: unknown key"),
        (("plan", "--only", "backbone=x"), "--only backbone=x: no backbone fits"),
        (("ls", "trimmers", "--plugin", "gone.py"), "gone.py: there is no such file"),
        (("score", "gone.jsonl", "--annotations", "gone.jsonl"), "gone.jsonl"),
        (("schema", "--check", "gone.json"), "gone.json: is not the current schema"),
    ],
)
def test_a_mistake_on_the_command_line_is_one_line_and_exit_code_2(arguments, message):
    assert message in refusal(*arguments)


@pytest.mark.parametrize("arguments", [("rnu",), ("run", "--overwrit", "always"), ("ls", "things"), ("score",)])
def test_a_wrong_call_exits_with_2(arguments):
    result = call(*arguments)

    assert result.exit_code == 2
    assert result.stdout == ""
    assert "Usage: vmrbench" in result.stderr


def test_ls_shows_options_with_their_defaults():
    text = call("ls", "trimmers").stdout

    assert "uniform  (first-party 0.1.0)\n    evenly spread clips, whatever the query\n    keep_ratio: 0.25\n" in text


def test_ls_shows_how_a_trimmer_can_be_applied():
    text = call("ls", "trimmers").stdout

    assert "index features only: what the index can do alone\n    (can be applied as fill)\n" in text
    assert "keep_ratio: 0.25\n    (can be applied as fill, gather, windows)\n" in text


def test_ls_as_json_lists_objects():
    rows = json.loads(call("ls", "launchers", "--json").stdout)

    assert [row["name"] for row in rows] == ["inline", "process"]
    assert set(rows[1]) == {"name", "summary", "origin", "version", "options"}
    assert rows[1]["options"] == {"workers": 2, "threads": 1}


@pytest.mark.parametrize("kind", ["backbones", "trimmers", "datasets", "encoders", "metrics", "reporters", "launchers"])
def test_every_kind_can_be_listed(kind):
    result = call("ls", kind, "--json")

    assert result.exit_code == 0
    assert json.loads(result.stdout)


def test_schema_is_printed_written_and_checked():
    printed = call("schema").stdout

    call("schema", "--write", "schema.json")

    assert Path("schema.json").read_text() == printed
    assert call("schema", "--check", "schema.json").exit_code == 0


@pytest.fixture
def sweep(monkeypatch):
    """Stands in for the engine; holds what it was called with."""
    called = {}

    def run_sweep(config, *, catalog, overwrite):
        called.update(config=config, overwrite=overwrite)
        return SimpleNamespace(done=("a",), failed=called.get("failed", {}), written=(Path("reports/README.md"),))

    monkeypatch.setattr("vmrbench.engine.sweep.run_sweep", run_sweep)
    return called


def test_run_tells_what_was_done(sweep):
    result = call("run", "--overwrite", "always", "--device", "cpu", "--limit", "3")

    assert result.exit_code == 0
    assert result.stdout == "cells done: 1, failed: 0\nwrote reports/README.md\n"
    assert sweep["overwrite"] == "always"
    assert (sweep["config"].file.device, sweep["config"].file.limit) == ("cpu", 3)


def test_run_with_a_failed_cell_exits_with_1(sweep):
    sweep["failed"] = {"b": "ValueError: no luck"}

    result = call("run", "--json")

    assert result.exit_code == 1
    assert json.loads(result.stdout) == {
        "done": ["a"],
        "failed": {"b": "ValueError: no luck"},
        "written": ["reports/README.md"],
    }


def test_an_interruption_exits_with_130(monkeypatch):
    def interrupt(*given, **named):
        raise KeyboardInterrupt

    monkeypatch.setattr("vmrbench.engine.sweep.run_sweep", interrupt)

    assert call("run").exit_code == 130


def test_our_own_mistakes_keep_their_traceback(monkeypatch):
    def fail(*given, **named):
        raise RuntimeError("ours")

    monkeypatch.setattr("vmrbench.engine.sweep.run_sweep", fail)

    assert isinstance(call("run").exception, RuntimeError)


def test_report_names_the_files_it_wrote(monkeypatch):
    monkeypatch.setattr("vmrbench.engine.sweep.report_sweep", lambda config, catalog: [Path("a.md")])

    assert call("report").stdout == "wrote a.md\n"


def test_plan_as_json(monkeypatch):
    row = PlanRow(cell_id="a", applied="fill", stages={"train": "done"}, runs=False, reason="done")
    monkeypatch.setattr("vmrbench.engine.sweep.plan_sweep", lambda config, catalog: [row])

    assert json.loads(call("plan", "--json").stdout) == [
        {"cell_id": "a", "applied": "fill", "stages": {"train": "done"}, "runs": False, "reason": "done"}
    ]


def test_plan_is_a_table_with_a_count():
    rows = [
        PlanRow(cell_id="a", applied="fill", stages={"train": "done", "cells": "done"}, runs=False, reason="done"),
        PlanRow(
            cell_id="b",
            applied="gather",
            stages={"train": "done", "cells": "missing"},
            runs=True,
            reason="missing: cells",
        ),
    ]

    lines = plan_text(rows).splitlines()

    assert lines[0].split() == ["cell", "applied", "train", "cells", "why"]
    assert lines[3].split() == ["b", "gather", "done", "missing", "missing:", "cells"]
    assert lines[-1] == "1 of 2 cells would run"


def write_lines(path: str, *rows: dict[str, object]) -> None:
    Path(path).write_text("".join(json.dumps(row) + "\n" for row in rows))


def test_score_needs_only_files():
    write_lines("truth.jsonl", {"qid": 1, "query": "a", "vid": "v", "duration": 10, "relevant_windows": [[2, 6]]})
    write_lines("found.jsonl", {"qid": 1, "query": "a", "vid": "v", "pred_relevant_windows": [[2, 6, 0.9]]})

    result = call("score", "found.jsonl", "--annotations", "truth.jsonl", "--json")

    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["scores"]["R1@0.7"]["value"] == 100.0


@pytest.mark.parametrize("arguments", [["--help"], ["schema"], ["validate", "--set", "device=gpu"], ["ls", "things"]])
def test_what_needs_no_model_does_not_import_torch(arguments):
    code = (
        "import sys\nfrom vmrbench.cli import main\nsys.argv = ['vmrbench', *sys.argv[1:]]\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "assert not {'torch', 'mmengine', 'pandas'} & set(sys.modules)"
    )

    assert subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True).returncode == 0


def test_the_module_can_be_run():
    command = [sys.executable, "-m", "vmrbench", "validate", "--set", "device=gpu"]

    done = subprocess.run(command, capture_output=True, text=True)

    assert done.returncode == 2
    assert done.stderr == "error: --set device=gpu: device: found 'gpu', expected 'auto', 'cpu', 'cuda' or 'cuda:0'\n"
