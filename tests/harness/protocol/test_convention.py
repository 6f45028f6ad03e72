import pytest

from vmrbench.errors import ConfigError
from vmrbench.protocol.convention import VMRBENCH_V1
from vmrbench.protocol.published import get_protocol
from vmrbench.score.measures import protocol_metrics


def test_a_protocol_is_found_by_its_name() -> None:
    assert get_protocol("vmrbench-v1") is VMRBENCH_V1


def test_an_unknown_protocol_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"no protocol is named 'x'; known: 2dtan-activitynet-v1, .*, vmrbench-v1"):
        get_protocol("x")


def test_the_thresholds_of_average_precision_are_0_5_to_0_95_in_steps_of_0_05() -> None:
    assert [round(100 * level) for level in VMRBENCH_V1.ap_thresholds] == list(range(50, 100, 5))


def test_the_metrics_are_recall_mean_iou_and_average_precision() -> None:
    recalls = [f"R{depth}@{level}" for depth in (1, 5) for level in (0.3, 0.5, 0.7)]

    assert [metric.name for metric in protocol_metrics(VMRBENCH_V1)] == [*recalls, "mIoU", "mAP"]
