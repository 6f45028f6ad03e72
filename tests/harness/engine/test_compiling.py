"""Tests of compiled backbones, with torch's compiler that only traces: machine code takes minutes here."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import nn

from vmrbench.engine import compiling
from vmrbench.engine.arm import Arm, WholeVideo
from vmrbench.engine.compiling import check_compiler, compiled
from vmrbench.errors import DeviceError
from vmrbench.score.submission import read_predictions
from vmrbench.store import read_json, read_record
from vmrbench.testing.factories import make_batch
from vmrbench.trim.fill import FineOnly
from vmrbench.types import Batch

SETS = ("train.base_epochs=0", "train.extra_epochs=0", "backbones.moment_detr.options.encoder_layers=0")
LENGTHS = ([5, 3], [9, 2], [7], [4])


@pytest.fixture(autouse=True)
def tracing(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(compiling, "BACKEND", "eager")
    yield
    torch._dynamo.reset()


class Whole(nn.Module):
    """A mean over clips."""

    def forward(self, batch: Batch) -> torch.Tensor:
        return (batch.clips * batch.clip_mask[..., None]).sum(1) / batch.lengths[:, None]


class Broken(Whole):
    """Leaves what can be compiled in the middle."""

    def forward(self, batch: Batch) -> torch.Tensor:
        doubled = batch.clips.sum() * 2
        torch._dynamo.graph_break()
        return super().forward(batch) + doubled


class Disabled(Whole):
    """Refuses to be compiled."""

    @torch.compiler.disable
    def forward(self, batch: Batch) -> torch.Tensor:
        return super().forward(batch)


def arm(backbone: nn.Module) -> Arm:
    return Arm(WholeVideo(), FineOnly(8), backbone).eval()


@torch.no_grad()
def run(arm: Arm) -> list[torch.Tensor]:
    return [arm(make_batch(lengths, width=8)).outputs for lengths in LENGTHS]


def test_compiled_backbones_give_the_same_outputs() -> None:
    whole = arm(Whole())
    expected = run(whole)

    with compiled([whole]) as log:
        found = run(whole)

    assert all(torch.allclose(a, b) for a, b in zip(expected, found, strict=True))
    assert (log.graphs, log.breaks) == (2, {})  # several queries at once, and a single one
    assert str(log) == "compiled with eager, 2 graphs, nothing uncompiled"


def test_what_stays_uncompiled_is_told() -> None:
    broken = arm(Broken())

    with compiled([broken]) as log:
        run(broken)

    (reason,) = log.breaks
    assert "graph_break" in reason
    assert f"uncompiled between them: {reason} (" in str(log)


def test_a_backbone_of_which_nothing_is_compiled_is_refused() -> None:
    disabled = arm(Disabled())

    with pytest.raises(DeviceError, match="compiled nothing of the backbone"), compiled([disabled]):
        run(disabled)


def test_too_many_versions_are_a_failure_and_not_quietly_uncompiled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiling, "MOST_VERSIONS", 1)
    whole = arm(Whole())

    with pytest.raises(DeviceError, match=r"torch\.compile fails here: .*limit") as caught, compiled([whole]):
        run(whole)

    assert "\n" not in str(caught.value)


def fail(graph: Any, inputs: Any) -> Any:
    raise RuntimeError("No working C++ compiler found\nand a long explanation")


def test_a_compiler_that_fails_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiling, "BACKEND", fail)

    with pytest.raises(DeviceError, match=r"fails here: .*No working C\+\+ compiler found; mend that") as caught:
        check_compiler(torch.device("cpu"))

    assert "\n" not in str(caught.value)


def test_a_missing_compiler_is_told_before_anything_is_trained(
    make_sweep: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compiling, "BACKEND", fail)
    found = make_sweep("none", sets=("compile=true",))

    with pytest.raises(DeviceError, match=r"compile: torch\.compile fails here"):
        found.run()

    assert not list(found.config.store.glob("base/*"))


@pytest.fixture(scope="module")
def both(make_sweep: Callable[..., Any]) -> tuple[Any, Any]:
    """The same sweep compiled and not, in one store."""
    plain = make_sweep("none", "uniform", sets=SETS)
    plain.run()
    other = make_sweep("none", "uniform", sets=(*SETS, "compile=true", f"store={plain.config.store}"))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(compiling, "BACKEND", "eager")
        result = other.run()
    assert dict(result.failed) == {}
    return plain, other


@pytest.mark.slow
def test_a_compiled_sweep_shares_the_weights_and_predicts_the_same(both: tuple[Any, Any]) -> None:
    plain, other = both

    assert other.keys("none").train == plain.keys("none").train
    assert other.keys("none").predict != plain.keys("none").predict
    first, second = (
        read_predictions(found.folder("predict", "none") / "predictions.jsonl") for found in (plain, other)
    )
    assert [p.sample_id for p in first] == [p.sample_id for p in second]
    assert all(
        torch.allclose(torch.tensor(a.moments), torch.tensor(b.moments), atol=1e-3)
        for a, b in zip(first, second, strict=True)
    )


@pytest.mark.slow
def test_a_record_says_what_was_compiled(both: tuple[Any, Any]) -> None:
    plain, other = both
    records = [read_record(path) for path in plain.config.store.glob("cells/*/record.json")]
    untrimmed = [record for record in records if record["cell"]["trimmer"]["id"] == "none"]

    said = {record["cell"]["compile"]: record["warnings"] for record in untrimmed}

    assert said[False] == []
    (line,) = said[True]
    assert line.startswith("compiled with eager, ")
    assert line in other.config.report.read_text()


@pytest.mark.slow
def test_compiled_arms_are_timed_in_a_session_of_their_own(both: tuple[Any, Any]) -> None:
    plain, _ = both
    sessions = [read_json(path) for path in plain.config.store.glob("cost/*/latency.json")]

    assert [set(session) for session in sessions] == [{"none", "uniform"}] * 2
