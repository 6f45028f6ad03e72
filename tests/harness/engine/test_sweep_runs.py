"""Tests of what a sweep does again, what it takes up where it was killed, and what it reports."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from vmrbench.cli import app
from vmrbench.engine import cell_jobs, stages
from vmrbench.engine.stages import LOG, WEIGHTS
from vmrbench.engine.sweep import plan_sweep, report_sweep, run_sweep
from vmrbench.errors import DataError
from vmrbench.store import read_json, read_record, read_wall_time

QUICK = ("cost.latency_samples=0", "train.extra_epochs=0")


@pytest.fixture(scope="module")
def ran(make_sweep: Callable[..., Any]) -> Any:
    """Arms of every kind of cost, run once; tests read its store and change nothing."""
    sweep = make_sweep("none", "all", "zero", "uniform", "random", "spotvmr")
    assert dict(sweep.run().failed) == {}
    return sweep


def files(folder: Path) -> dict[str, int]:
    """Every path with the time it was last written."""
    return {str(path): path.stat().st_mtime_ns for path in folder.rglob("*")}


def refuse_to_train(*given: Any, **named: Any) -> None:
    raise AssertionError("trained again")


def test_a_second_run_makes_nothing(ran: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    before = files(ran.config.store)
    monkeypatch.setattr(stages, "train", refuse_to_train)

    result = ran.run()

    assert (len(result.done), dict(result.failed)) == (len(ran.cells), {})
    assert files(ran.config.store) == before
    assert {row.reason for row in plan_sweep(ran.config, ran.catalog)} == {"done"}


def test_paths_and_names_are_no_part_of_what_a_run_is(
    ran: Any, make_sweep: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(ran.config.store, tmp_path / "elsewhere")
    moved = make_sweep("none", folder=tmp_path, sets=(f"store={tmp_path}/elsewhere", "trimmers.none.id=plain"))
    monkeypatch.setattr(stages, "train", refuse_to_train)

    result = moved.run()

    assert result.done == ("tiny/moment_detr/plain/0",)


KILLED = """
import os, signal, sys
import vmrbench.engine.stages as stages
from vmrbench.cli import main

def say_stage(text):
    if text == "base 2/5":
        os.kill(os.getpid(), signal.SIGKILL)

stages.say_stage = say_stage
sys.argv = ["vmrbench", "run", *sys.argv[1:]]
main()
"""


@pytest.mark.slow
def test_a_killed_run_goes_on_from_its_last_epoch_to_the_same_weights(
    make_sweep: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sets = (*QUICK, "train.base_epochs=5", "train.select_by=mIoU")
    sweep, straight = make_sweep("none", folder=tmp_path, sets=sets), make_sweep("none", sets=sets)
    command = [sys.executable, "-c", KILLED, str(tmp_path / "sweep.yaml"), *(f"--set={text}" for text in sets)]
    said: list[str] = []
    monkeypatch.setattr(stages, "say_stage", said.append)

    killed = subprocess.run(command, env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, check=False)
    left = list((sweep.config.store / "base").glob("*.partial-*"))
    result = CliRunner().invoke(app, ["run", *command[3:]])

    assert killed.returncode == -signal.SIGKILL
    assert len(left) == 1
    assert result.exit_code == 0, result.output
    (other_line,) = [line for line in result.stderr.splitlines() if "tiny/moment_detr/none/0" not in line]
    assert "took over" in other_line
    assert result.stdout.startswith("cells done: 1, failed: 0\nwrote ")
    assert [text for text in said if text.startswith("base")] == ["base 3/5", "base 4/5", "base 5/5"]
    straight.run()
    resumed, other = (found.folder("base", "none") for found in (sweep, straight))
    assert [name for name in (WEIGHTS, LOG) if (resumed / name).read_bytes() != (other / name).read_bytes()] == []
    assert len(read_json(resumed / LOG)["losses"]) == 5


def test_a_base_model_that_fails_is_trained_once(
    make_sweep: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep = make_sweep("none", "all", "zero", sets=QUICK)
    tried = []

    def fail(cell: Any, folder: Path, key: str) -> None:
        tried.append(key)
        raise RuntimeError(f"no luck with {key[:4]}")

    monkeypatch.setattr(cell_jobs, "make_base", fail)
    result = sweep.run()

    first, second = sweep.keys("none").base, sweep.keys("all").base
    assert tried == [first, second]
    assert [error for _, error in sorted(result.failed.items())] == [
        f"RuntimeError: no luck with {second[:4]}",
        f"RuntimeError: no luck with {first[:4]}",
        f"RuntimeError: no luck with {second[:4]}",
    ]
    assert (result.done, result.written) == ((), ())
    assert sum(1 for _ in sweep.config.store.glob("failed/*/traceback.txt")) == 3


def test_a_failed_cell_is_tried_again_and_its_failure_forgotten(
    make_sweep: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep = make_sweep("none", sets=(*QUICK, "train.base_epochs=0"))

    def fail(*given: Any) -> None:
        raise RuntimeError("no luck")

    with monkeypatch.context() as broken:
        broken.setattr(cell_jobs, "make_predict", fail)
        assert list(sweep.run().failed.values()) == ["RuntimeError: no luck"]
    (row,) = plan_sweep(sweep.config, sweep.catalog)
    again = sweep.run()

    assert row.reason == "failed before: RuntimeError: no luck"
    assert (len(again.done), dict(again.failed)) == (1, {})
    assert not list(sweep.config.store.glob("failed/*"))


def test_mistakes_that_differ_from_errors_are_reported_as_failures(
    make_sweep: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep = make_sweep("none", "all", sets=(*QUICK, "train.base_epochs=0"))
    errors = iter([DataError("row 3 is bad"), RuntimeError("no luck")])

    def fail(*given: Any) -> None:
        raise next(errors)

    monkeypatch.setattr(cell_jobs, "make_predict", fail)
    result = sweep.run()

    assert list(result.failed.values()) == ["row 3 is bad", "RuntimeError: no luck"]


def test_a_report_is_the_same_when_the_store_is_gone(make_sweep: Callable[..., Any], tmp_path: Path) -> None:
    sweep = make_sweep("all", "uniform", "spotvmr", sets=(*QUICK, "train.base_epochs=0"))
    assert dict(run_sweep(sweep.config, catalog=sweep.catalog).failed) == {}
    folder = sweep.config.report.parent
    kept = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and "runs" not in path.parts}
    assert len([path for path in kept if path.suffix == ".svg"]) == 5
    sweep.config.store.rename(tmp_path / "runs")
    for path in kept:
        if path.suffix != ".json":
            path.unlink()

    written = report_sweep(sweep.config, sweep.catalog)

    assert set(written) == {path for path in kept if path.suffix in {".md", ".svg"}}
    assert {path: path.read_bytes() for path in kept} == kept


def test_a_limit_is_stamped_and_held(make_sweep: Callable[..., Any]) -> None:
    sweep = make_sweep("none", sets=(*QUICK, "train.base_epochs=0", "limit=3"))

    sweep.run()

    (folder,) = sweep.config.store.glob("cells/*")
    stamp = "NOT REPORTABLE: every split is limited to 3 queries"
    assert stamp in read_record(folder / "record.json")["stamps"]
    assert stamp in sweep.config.report.read_text()
    assert len((sweep.folder("predict", "none") / "predictions.jsonl").read_text().splitlines()) == 3
    assert sweep.keys("none").base != make_sweep("none", sets=QUICK).keys("none").base


def test_a_record_says_what_ran_with_what_and_at_which_cost(ran: Any) -> None:
    records = [read_record(path) for path in ran.config.store.glob("cells/*/record.json")]
    found = {record["cell"]["trimmer"]["id"]: record for record in records}

    assert set(found) == set(ran.cells)
    for record in records:
        assert record["status"] == "VALID"
        assert set(record["scores"]) == {f"R{n}@{t}" for n in (1, 5) for t in (0.3, 0.5, 0.7)} | {"mIoU", "mAP"}
        assert record["cost"]["memory_bytes"] == {"value": None, "reason": "cost.memory is false"}
        assert json.loads(json.dumps(record, allow_nan=False)) == record
    encode = {name: record["cost"]["macs_cold"]["encode"]["value"] for name, record in found.items()}
    index = {name: record["cost"]["macs_cold"]["index"]["value"] for name, record in found.items()}
    assert encode["zero"] == 0
    assert encode["uniform"] == encode["random"] == encode["spotvmr"] < encode["all"] == encode["none"]
    assert index["none"] == 0 < index["uniform"] == index["all"]
    assert found["spotvmr"]["training"]["shares_encoder"] is True


def test_a_record_says_how_long_its_stages_took(ran: Any) -> None:
    took = ran.record("spotvmr")["wall_seconds"]

    assert set(took) == {"base", "train", "predict", "cost"}
    assert all(entry["value"] > 0 and entry["sessions"] == 1 for entry in took.values())
    assert took["train"]["value"] == read_wall_time(ran.folder("train", "spotvmr")).value


def test_latency_of_all_arms_is_one_session(ran: Any) -> None:
    (session,) = ran.config.store.glob("cost/*/latency.json")

    assert set(read_json(session)) == set(ran.cells)
