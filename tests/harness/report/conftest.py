"""A made-up sweep: two backbones, several trimmers, two seeds, with a failed, a missing and an invalid cell."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest

from vmrbench.protocol.convention import VMRBENCH_V1
from vmrbench.protocols import DatasetFacts, FeatureFacts
from vmrbench.report.build import build_summary, describe_dataset
from vmrbench.report.rows import FinishedRun
from vmrbench.report.summary import SweepSummary
from vmrbench.score.measures import protocol_metrics
from vmrbench.specs import EncoderSpec
from vmrbench.types import Annotation

METRICS = [metric.name for metric in protocol_metrics(VMRBENCH_V1)]
STAMP = "SIMULATED FEATURES: numbers say nothing about real video"
# trimmer id, its plug-in, clips kept of 40, probability of a hit
ARMS = (
    ("none", "none", 40, 0.58),
    ("all", "all", 40, 0.60),
    ("zero", "zero", 0, 0.30),
    ("uniform_25", "uniform", 10, 0.42),
    ("spotvmr_25", "spotvmr", 10, 0.52),
    ("spotvmr_50", "spotvmr", 20, 0.57),
    ("oracle_25", "oracle", 10, 0.70),
)


def cell(backbone: str, trimmer: str, seed: int, name: str | None = None) -> dict[str, Any]:
    _, _, share = trimmer.partition("_")
    options = {"keep_ratio": int(share) / 100} if share.isdigit() else {}
    return {
        "dataset": {"id": "sim", "name": "simulated", "options": {}},
        "backbone": {"id": backbone, "name": backbone, "preset": None, "options": {}},
        "trimmer": {"id": trimmer, "name": name or trimmer, "fill": "concat_zero", "options": options},
        "seed": seed,
    }


def frame(chance: float, seed: int, queries: int = 240, videos: int = 60) -> pd.DataFrame:
    drawn = np.random.default_rng(seed).random(queries)
    columns: dict[str, Any] = {
        "sample_id": [f"q{i}" for i in range(queries)],
        "video_id": [f"v{i % videos}" for i in range(queries)],
        "source_id": [f"v{i % videos}" for i in range(queries)],
    }
    for place, name in enumerate(METRICS):
        columns[name] = np.where(drawn < chance * (1.2 - 0.1 * place), 100.0, 0.0)
    return pd.DataFrame(columns)


def macs(kept: int, head: float) -> dict[str, Any]:
    return {
        "decode": {"value": None, "basis": None, "reason": "features were given, no video was decoded"},
        "index": {"value": 40 * 0.39e9, "basis": "declared", "reason": None},
        "trim": {"value": 0.02e9, "basis": "counted", "reason": None},
        "encode": {"value": kept * 38.5e9, "basis": "declared", "reason": None},
        "backbone": {"value": head, "basis": "counted", "reason": None},
        "post": {"value": None, "basis": "not_macs", "reason": "sorting has no multiply-adds"},
    }


def run(backbone: str, arm: tuple[str, str, int, float], seed: int, head: float = 0.5e9) -> FinishedRun:
    trimmer, name, kept, chance = arm
    invalid = trimmer == "uniform_25" and backbone == "vslnet"
    record = {
        "format": 1,
        "run_id": f"{backbone}-{trimmer}-{seed}",
        "cell": cell(backbone, trimmer, seed, name),
        "status": "INVALID" if invalid else "VALID",
        "reasons": ["features cover 98 % of the videos"] if invalid else [],
        "stamps": [STAMP],
        "warnings": [],
        "wall_seconds": {
            "base": {"value": 600.0},
            "train": {"value": 90.0 + 60 * seed},
            "predict": {"value": 6.0},
            "cost": {"value": 30.0} if trimmer != "zero" else {"value": None, "reason": "not kept"},
        },
        "parameters": 1_500_000,
        "diagnostics": {
            "clips_mean": 40.0,
            "kept_clips_mean": float(kept),
            "kept_ratio_mean": kept / 40,
            "moment_kept_mean": kept / 40,
            "shuffled_query": {"R1@0.5": 6.5},
            "queries_per_video": 4.0,
        },
        "scores": {},
        "cost": {
            "macs_cold": macs(kept, head),
            "macs_amortised": macs(kept // 2, head),
            "latency_ms": {"p50": 8.0 + seed, "p90": 12.0 + seed, "n": 100, "valid": True, "reason": None},
            "memory_bytes": {"value": 300 * 2**20, "reason": None},
            "uncounted_operators": {"aten::topk": 2} if trimmer == "spotvmr_25" else {},
            "fvcore_ratio": 1.001,
        },
    }
    return FinishedRun(record=record, per_query=frame(chance + 0.02 * (backbone == "qd_detr"), seed + 10))


def failed(backbone: str, trimmer: str, seed: int) -> FinishedRun:
    record = {"format": 1, "run_id": "f", "cell": cell(backbone, trimmer, seed), "status": "FAILED"}
    return FinishedRun(record={**record, "reasons": ["loss is NaN at epoch 3"]}, per_query=None)


def annotations(count: int, prefix: str) -> list[Annotation]:
    return [
        Annotation(
            sample_id=f"{prefix}{i}",
            video_id=f"{prefix}v{i % 60}",
            sentence="a person opens the door",
            duration=80.0,
            moments=((float(i % 50), float(i % 50) + 20.0),),
        )
        for i in range(count)
    ]


def make_summary(runs: Sequence[FinishedRun], expected: Sequence[dict[str, Any]] = ()) -> SweepSummary:
    group = FeatureFacts(encoder="c3d", width=512)
    facts = DatasetFacts(
        clip_seconds=2.0,
        clips=group,
        text=FeatureFacts(encoder="glove", width=300),
        index={"appearance": FeatureFacts(encoder="effnet", width=256)},
        fingerprint="sha256:0123",
        stamps=(STAMP,),
    )
    encoder = EncoderSpec(
        name="c3d",
        summary="C3D",
        role="clip",
        dim=512,
        clip_seconds=0.64,
        macs_per_clip=38.5e9,
        basis="declared",
        source="Tran et al., 2015",
    )
    return build_summary(
        runs,
        name="tiny sweep",
        created="2030-01-02T03:04:05Z",
        argv=["vmrbench", "run", "benchmarks.yaml"],
        protocol=VMRBENCH_V1,
        datasets=[
            describe_dataset("sim", "simulated", facts, annotations(90, "t"), annotations(240, "q"), VMRBENCH_V1)
        ],
        encoders={"c3d": encoder},
        machine={"cpu": "a processor", "cores": 2, "gpu": None},
        versions={"vmrbench": "0.1.0", "plugins": {"vslnet": 1}},
        expected=expected,
        label_readers={"oracle"},
    )


@pytest.fixture(scope="session")
def sweep() -> SweepSummary:
    heads = {"vslnet": 0.4e9, "qd_detr": 1.3e9}
    runs = [run(backbone, arm, seed, head) for backbone, head in heads.items() for arm in ARMS for seed in (0, 1)]
    runs.append(failed("qd_detr", "oracle", 0))
    expected = [r.record["cell"] for r in runs] + [cell("qd_detr", "random", 0)]
    return make_summary(runs, expected)


@pytest.fixture(scope="session")
def summarise() -> Callable[..., SweepSummary]:
    """Summary of the given runs, and of expected cells."""
    return make_summary
