"""Tests of `vmrbench profile`: counts and refusals; timings are never asserted."""

from __future__ import annotations

import json
from typing import Any

import pytest
from typer.testing import CliRunner

from vmrbench.cli import app

SHAPE = ("--clips", "8", "--width", "16", "--tokens", "4", "--text-width", "12")


def call(*arguments: str) -> Any:
    return CliRunner().invoke(app, ["profile", *arguments], prog_name="vmrbench")


def refusal(*arguments: str) -> str:
    result = call(*arguments)
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (2, "", 1), result.output
    return result.stderr


def rows(text: str) -> list[list[str]]:
    return [[part.strip() for part in line.strip("|").split("|")] for line in text.splitlines() if line[:1] == "|"]


def test_the_published_size_of_moment_detr_is_that_of_the_official_model() -> None:
    result = call("--backbone", "moment_detr", "--preset", "published_qvhighlights", "--runs", "0")

    (head, _, row) = rows(result.stdout)

    assert head == ["backbone", "preset", "input", "parameters", "MACs (M)"]
    # The official model has 4,823,305 parameters and 295.6 million multiply-adds, heads of auxiliary layers included.
    assert row[:4] == ["`moment_detr`", "`published_qvhighlights`", "75 clips x 2816, 32 tokens x 512", "4,823,305"]
    assert 293.0 < float(row[4]) <= 295.6


def test_a_backbone_may_name_its_own_preset() -> None:
    result = call("--backbone", "moment_detr", "--backbone", "qd_detr:small", *SHAPE, "--runs", "0")

    assert [row[:2] for row in rows(result.stdout)[2:]] == [["`moment_detr`", "defaults"], ["`qd_detr`", "`small`"]]


def test_every_batch_size_is_timed_with_as_many_runs_as_asked_for() -> None:
    twice = ("--backbone", "moment_detr:small") * 2

    result = call(*twice, *SHAPE, "--batch", "1", "--batch", "3", "--runs", "2", "--device", "cpu", "--json")

    found = json.loads(result.stdout)
    assert [{size: taken["n"] for size, taken in row["latency"].items()} for row in found["profiles"]] == [
        {"1": 2, "3": 2},
        {"1": 2, "3": 2},
    ]
    assert found["machine"]["device"] == "cpu"


def test_too_few_runs_are_invalid_and_say_why() -> None:
    result = call("--backbone", "moment_detr:small", *SHAPE, "--runs", "2", "--device", "cpu")

    row = rows(result.stdout)[2]
    assert row[6:] == ["2 INVALID", "1.00"]
    assert "INVALID: backbone 'moment_detr', preset 'small', batch 1: 2 rounds; at least 3" in result.stdout


def test_a_backbone_that_reads_more_than_features_gets_it() -> None:
    result = call("--backbone", "vslnet:published_charades", *SHAPE, "--runs", "0", "--json")

    (found,) = json.loads(result.stdout)["profiles"]
    assert found["macs"]["value"] > 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--backbone", "moment-detr"], "no backbone is named 'moment-detr'; did you mean 'moment_detr'?"),
        (["--backbone", "moment_detr:smal"], "has no preset 'smal'; did you mean 'small'?"),
        (["--backbone", "moment_detr:"], "--backbone moment_detr:: expected NAME or NAME:PRESET"),
        (
            ["--backbone", "vslnet", "--clips", "300", "--runs", "0"],
            "backbone 'vslnet' on 300 clips x 2816, 32 tokens x 512: a video or query has 300 rows",
        ),
    ],
)
def test_a_mistake_is_told_in_one_line(arguments: list[str], message: str) -> None:
    assert message in refusal(*arguments)
