"""Interval arithmetic, recall, suppression and clip precision against slow, obvious second implementations."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from vmrbench.protocol.convention import VMRBENCH_V1, Protocol
from vmrbench.protocol.published import EGO4D_NLQ_V1, MAD_V1, QVHIGHLIGHTS_V1, TWO_D_TAN_V1
from vmrbench.score.details import details, discounted_recall
from vmrbench.score.highlights import clip_precision
from vmrbench.score.measures import average_precision, mean_iou, recall
from vmrbench.score.moments import predicted_moments, true_moments
from vmrbench.spans import hull_iou_matrix, iou_matrix, not_suppressed, without_union
from vmrbench.types import Annotation, Prediction

Span = tuple[float, float]

# Whole and half seconds, so that overlaps equal thresholds often.
span = st.tuples(st.integers(0, 40), st.integers(1, 24)).map(lambda pair: (pair[0] / 2, sum(pair) / 2))
any_span = st.tuples(st.integers(0, 8), st.integers(0, 8)).map(lambda pair: (float(pair[0]), float(pair[1])))


def slow_iou(a: Span, b: Span) -> float:
    """Counted in quarter seconds."""
    first, second = ({n for n in range(400) if s * 4 <= n < e * 4} for s, e in (a, b))
    return len(first & second) / len(first | second) if first | second else 0.0


def one(predicted: list[Span], truth: list[Span]) -> tuple[list[Prediction], list[Annotation]]:
    moments = tuple((start, end, -float(place)) for place, (start, end) in enumerate(predicted))
    return (
        [Prediction(sample_id="q", video_id="v", moments=moments)],
        [Annotation(sample_id="q", video_id="v", sentence="", duration=40.0, moments=tuple(truth))],
    )


@given(st.lists(span, min_size=1, max_size=4), st.lists(span, min_size=1, max_size=4))
def test_overlap_is_the_share_of_common_time(a: list[Span], b: list[Span]) -> None:
    expected = [[slow_iou(left, right) for right in b] for left in a]

    found = iou_matrix(torch.tensor(a, dtype=torch.float64), torch.tensor(b, dtype=torch.float64))

    assert found.numpy() == pytest.approx(np.array(expected))


@given(st.lists(span, min_size=1, max_size=4), st.lists(span, min_size=1, max_size=4))
def test_overlap_by_the_hull_is_that_by_the_union_where_moments_overlap(a: list[Span], b: list[Span]) -> None:
    left, right = (torch.tensor(spans, dtype=torch.float64) for spans in (a, b))

    torch.testing.assert_close(hull_iou_matrix(left, right), iou_matrix(left, right))


@given(any_span, any_span)
def test_an_overlap_is_undefined_where_lengths_cancel(a: Span, b: Span) -> None:
    left, right = (torch.tensor([spans], dtype=torch.float64) for spans in (a, b))
    common = max(0.0, min(a[1], b[1]) - max(a[0], b[0]))

    assert bool(without_union(left, right)) == (a[1] - a[0] + b[1] - b[0] - common == 0)
    assert 0 <= float(hull_iou_matrix(left, right)) <= 1


@pytest.mark.parametrize("protocol", [VMRBENCH_V1, QVHIGHLIGHTS_V1, EGO4D_NLQ_V1, MAD_V1], ids=lambda p: p.name)
@given(
    predicted=st.lists(span, max_size=6),
    truth=st.lists(span, min_size=1, max_size=3),
    depth=st.integers(1, 6),
    threshold=st.sampled_from([0.25, 0.3, 0.5, 0.7]),
)
def test_recall_and_mean_overlap_agree_with_a_loop(
    protocol: Protocol, predicted: list[Span], truth: list[Span], depth: int, threshold: float
) -> None:
    counted = truth if protocol.truth == "best" else truth[:1]
    overlaps = [max(slow_iou(window, moment) for moment in counted) for window in predicted]
    # Overlaps are ratios of whole numbers under 200: what is nearer to a threshold than 1e-9 equals it.
    hits = [o > threshold - 1e-9 if protocol.operator == ">=" else o > threshold + 1e-9 for o in overlaps[:depth]]
    tables = one(predicted, truth)

    answers, moments = predicted_moments(*tables, protocol), true_moments(tables[1], protocol)
    forgiving = replace(protocol, tolerance=1e-9)

    assert recall(answers, moments, depth=depth, threshold=threshold, protocol=forgiving)[0] == 100.0 * any(hits)
    assert mean_iou(answers, moments, protocol=protocol)[0] == pytest.approx(100 * (overlaps or [0.0])[0])


@given(st.lists(span, max_size=8), st.sampled_from([0.25, 0.4, 0.5, 1.0]), st.sampled_from([None, 1, 3]))
def test_suppression_agrees_with_a_loop(windows: list[Span], threshold: float, most: int | None) -> None:
    kept: list[int] = []
    for place, window in enumerate(windows):
        if all(slow_iou(window, windows[other]) <= threshold + 1e-12 for other in kept):
            kept.append(place)
    spans = torch.tensor([[*windows, (0.0, 1.0)]], dtype=torch.float64)
    present = torch.tensor([[True] * len(windows) + [False]])

    found = not_suppressed(spans, present, threshold + 1e-12, most)

    assert found[0].nonzero().flatten().tolist() == kept[:most]


@given(st.lists(span, min_size=1, max_size=8), st.lists(span, min_size=1, max_size=1))
def test_windows_that_are_suppressed_move_up_the_others(windows: list[Span], truth: list[Span]) -> None:
    predictions, annotations = one(windows, truth)
    kept: list[Span] = []
    for window in windows:
        if all(slow_iou(window, other) <= 0.4 + 1e-12 for other in kept):
            kept.append(window)
    forgiving = replace(TWO_D_TAN_V1, nms=0.4 + 1e-12)

    table = predicted_moments(predictions, annotations, forgiving)

    assert [tuple(row) for row in table.spans[0][table.present[0]].tolist()] == kept


@given(st.lists(span, max_size=12), st.lists(span, min_size=1, max_size=3))
def test_the_published_precision_reads_ten_windows_and_is_ours_where_there_are_no_more(
    windows: list[Span], truth: list[Span]
) -> None:
    predictions, annotations = one(windows, truth)
    short, _ = one(windows[:10], truth)

    found = average_precision(
        predicted_moments(predictions, annotations, QVHIGHLIGHTS_V1),
        true_moments(annotations, QVHIGHLIGHTS_V1),
        protocol=replace(QVHIGHLIGHTS_V1, tolerance=1e-9),
    )
    expected = average_precision(predicted_moments(short, annotations), true_moments(annotations))

    assert found == pytest.approx(expected)


def test_discounted_recall_weighs_both_ends() -> None:
    # IoU 0.8; the start is off by 2 s of 40 s, the end not at all.
    tables = one([(2.0, 10.0)], [(0.0, 10.0)])
    predicted, truth = predicted_moments(*tables), true_moments(tables[1])

    found = [discounted_recall(predicted, truth, depth=1, threshold=t, protocol=VMRBENCH_V1)[0] for t in (0.7, 0.9)]

    assert found == [pytest.approx(95.0), 0.0]


def test_a_query_counts_in_every_group_that_one_of_its_moments_has_the_length_of() -> None:
    tables = one([(0.0, 5.0)], [(0.0, 5.0), (10.0, 30.0)])

    rows = details(predicted_moments(*tables), true_moments(tables[1]), VMRBENCH_V1)
    found = {row.group: (row.n, row.value) for row in rows if (row.measure, row.iou) == ("R1", 0.5)}

    assert found == {"all": (1, 100.0), "short": (1, 100.0), "middle": (1, 0.0), "long": (0, None)}


def slow_clip_precision(rated: list[bool], scores: list[float]) -> float:
    """Precision of everything at or above each score, the best of it from there down, averaged where recall grows."""
    levels = sorted(set(scores), reverse=True)
    taken = [[r for r, s in zip(rated, scores, strict=True) if s >= level] for level in levels]
    precision = [sum(clips) / len(clips) for clips in taken]
    grown = [n for n in range(len(levels)) if sum(taken[n]) > (sum(taken[n - 1]) if n else 0)]
    return float(np.mean([max(precision[n:]) for n in grown])) if grown else 0.0


clips = st.lists(st.tuples(st.booleans(), st.integers(0, 5)), min_size=1, max_size=9)


@given(st.lists(clips, min_size=1, max_size=4))
def test_clip_precision_agrees_with_a_loop(videos: list[list[tuple[bool, int]]]) -> None:
    width = max(map(len, videos)) + 1
    rated, scores, real = (np.zeros((len(videos), width)) for _ in range(3))
    for row, video in enumerate(videos):
        rated[row, : len(video)] = [flag for flag, _ in video]
        scores[row, : len(video)] = [score - 2.0 for _, score in video]
        real[row, : len(video)] = 1

    found = clip_precision(rated.astype(bool), scores, real.astype(bool))

    expected = [slow_clip_precision([flag for flag, _ in v], [score - 2.0 for _, score in v]) for v in videos]
    assert found == pytest.approx(expected)
