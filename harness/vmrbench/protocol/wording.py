"""A convention in words, made from its data, so that what is printed is what is computed."""

from __future__ import annotations

from vmrbench.protocol.convention import Protocol

_UNIONS = {"true": "the true union", "hull": "the hull of both moments, which is the true union where they overlap"}


def rules_in_words(protocol: Protocol) -> tuple[str, ...]:
    """One sentence a rule, in the order in which a prediction meets them."""
    return tuple(sentence for sentence in (*_windows(protocol), *_scores(protocol), *_queries(protocol)) if sentence)


def _windows(protocol: Protocol) -> list[str]:
    ranked = "ranked by score, ties as listed" if protocol.order == "score" else "taken in the order of the file"
    clamped = "clamped to the video" if protocol.clamp else "not clamped to the video"
    snapped = "not rounded" if protocol.snap_seconds is None else f"rounded to multiples of {protocol.snap_seconds:g} s"
    suppressed = (
        "There is no non-maximum suppression: the file holds what is left after the model's own."
        if protocol.nms is None
        else f"Windows that overlap a better one by IoU > {protocol.nms:g} are suppressed "
        f"(divided by {_UNIONS[protocol.nms_union]})."
    )
    return [f"Predicted windows are {ranked}, {clamped}, {snapped}.", suppressed]


def _scores(protocol: Protocol) -> list[str]:
    truth = "the best IoU over its true moments counts" if protocol.truth == "best" else "its first true moment counts"
    precision = ""
    if protocol.ap_thresholds:
        read = "all windows" if protocol.ap_windows is None else f"the first {protocol.ap_windows} windows listed"
        undefined = {
            "hit": "a window whose IoU is 0/0 (one that is reversed and as long as the moment) counts as found, as in "
            "the published evaluator",
            "miss": "a window whose IoU is 0/0 is a miss",
        }[protocol.no_union]
        precision = (
            f"mAP is the mean over queries of interpolated average precision of {read}, ranked by score, over IoU "
            f"{protocol.ap_thresholds[0]:g} to {protocol.ap_thresholds[-1]:g} (divided by the true union); {undefined}."
        )
    return [
        f"IoU is overlap divided by {_UNIONS[protocol.union]}; it reaches a threshold t where IoU {protocol.operator} "
        f"t; of a query {truth} in recall and mIoU.",
        precision,
    ]


def _queries(protocol: Protocol) -> list[str]:
    missing = (
        "A query without a prediction is an error"
        if protocol.missing == "refused"
        else "A query without a prediction is left out of every mean, as in the published evaluator, and listed"
    )
    return [
        f"{missing}; one with an empty list counts 0.",
        "NaN and unknown and duplicate query ids are errors; windows that are reversed, empty or beyond the video are "
        + ("errors." if protocol.faults == "refused" else "scored as they stand and listed."),
        f"Printed with {protocol.decimals} decimals, in percent; intervals are those of `vmrbench-v1`.",
    ]
