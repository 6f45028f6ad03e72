"""Metrics at an IoU of the reader's choice."""

import pytest

from vmrbench.errors import ConfigError
from vmrbench.protocol.convention import VMRBENCH_V1
from vmrbench.protocol.iou_metrics import IouMetric, iou_metric
from vmrbench.protocol.published import MAD_V1, TWO_D_TAN_V1
from vmrbench.score.per_query import score_predictions
from vmrbench.types import Annotation, Prediction

# Ten windows of 10 s, one behind the other by 1 s, the best last: IoU 1/19, 2/18, ... 9/11, 1 of the truth.
WINDOWS = tuple((float(start), start + 10.0, 10.0 - start) for start in range(1, 11))
TRUTH = Annotation(sample_id="q", video_id="v", sentence="", duration=100.0, moments=((10.0, 20.0),))


@pytest.mark.parametrize(
    ("name", "metric", "shown"),
    [
        ("R3@0.45", IouMetric(kind="R", depth=3, iou=0.45), "R3@0.45"),
        ("dR10@.50", IouMetric(kind="dR", depth=10, iou=0.5), "dR10@0.5"),
        ("mAP@1", IouMetric(kind="mAP", depth=None, iou=1.0), "mAP@1"),
    ],
)
def test_a_name_says_measure_depth_and_overlap(name: str, metric: IouMetric, shown: str) -> None:
    assert iou_metric(name) == metric
    assert metric.name == shown


@pytest.mark.parametrize("name", ["", "R@0.5", "R0@0.5", "R1@0", "R1@1.5", "R1@nan", "R1@1e-3", "mAP5@0.5", "r1@0.5"])
def test_another_name_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=r"expected R<n>@<IoU>, dR<n>@<IoU> or mAP@<IoU> with n from 1"):
        iou_metric(name)


def test_further_metrics_come_after_those_of_the_protocol_once() -> None:
    asked = VMRBENCH_V1.with_metrics(["R1@0.50", "R3@0.45", "R3@.45", "mAP@0.7"])

    assert asked.metric_names == (*VMRBENCH_V1.metric_names, "R3@0.45", "mAP@0.7")
    assert asked.rules == VMRBENCH_V1.rules


def test_average_precision_is_refused_where_the_protocol_has_none() -> None:
    with pytest.raises(ConfigError, match="2dtan-v1 has no average precision"):
        TWO_D_TAN_V1.with_metrics(["mAP@0.5"])


def test_further_metrics_count_what_their_names_say() -> None:
    asked = VMRBENCH_V1.with_metrics(["R9@0.8", "R8@0.8", "dR9@0.8", "mAP@0.9", "mAP@0.8"])

    row = score_predictions([Prediction(sample_id="q", video_id="v", moments=WINDOWS)], [TRUTH], asked).iloc[0]

    # The ninth window, 9 to 19 s, has IoU 9/11 = 0.82, and both ends off by 1 s of 100.
    assert (row["R9@0.8"], row["R8@0.8"]) == (100.0, 0.0)
    assert row["dR9@0.8"] == pytest.approx(100 * 0.99 * 0.99)
    assert (row["mAP@0.9"], row["mAP@0.8"]) == pytest.approx((100 / 10, 100 / 9))


def test_windows_are_suppressed_as_deep_as_a_further_metric_reads() -> None:
    apart = tuple((float(start), start + 0.5, 300.0 - start) for start in range(99))
    moments = (*apart, (10.0, 20.0, 0.0))
    asked = TWO_D_TAN_V1.with_metrics(["R99@0.5", "R100@0.5"])

    row = score_predictions([Prediction(sample_id="q", video_id="v", moments=moments)], [TRUTH], asked).iloc[0]

    assert (row["R99@0.5"], row["R100@0.5"]) == (0.0, 100.0)


def test_a_protocol_keeps_its_own_operator() -> None:
    half = Prediction(sample_id="q", video_id="v", moments=((10.0, 14.0, 1.0),))

    found = [
        score_predictions([half], [TRUTH], protocol.with_metrics(["R2@0.4"])).iloc[0]["R2@0.4"]
        for protocol in (MAD_V1, TWO_D_TAN_V1)
    ]

    assert found == [100.0, 0.0]
