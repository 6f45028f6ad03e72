"""The section on the test split that is unlike train: scores in and out of its distribution, and the gap."""

from __future__ import annotations

from vmrbench.report.numbers import with_interval
from vmrbench.report.summary import DatasetEntry, OodEntry, SweepSummary
from vmrbench.report.tables import markdown_table, names_of
from vmrbench.score.gaps import floor_pairs


def ood_parts(summary: SweepSummary, entry: DatasetEntry) -> list[str]:
    """Heading, table of the arms and table of the floors; nothing where the data set has no such split."""
    if entry.ood is None:
        return []
    arms = ood_table(summary, entry.id)
    floors = [["floor", "metric, %", "iid", "ood", "gap"]]
    floors += [
        [name, metric, f"{here:.1f}", f"{there:.1f}", f"{there - here:+.1f}"]
        for name, values in floor_pairs(entry.floors, entry.ood.floors).items()
        for metric, (here, there) in values.items()
    ]
    blind = markdown_table(floors[0], floors[1:], words=2)
    return [f"### Out of distribution\n\n{_sizes(entry, entry.ood)}", *([arms] if arms else []), blind]


def ood_table(summary: SweepSummary, dataset: str) -> str:
    """The headline metric on both test splits and the gap; empty where no arm was scored on both."""
    headline = summary.headline
    rows = [
        [
            *names_of(row),
            with_interval(row.scores.get(headline)),
            with_interval(row.ood.scores.get(headline)),
            with_interval(row.ood.gaps.get(headline), signed=True),
        ]
        for row in summary.rows_of(dataset)
        if row.ood is not None
    ]
    headers = ["backbone", "trimmer", f"{headline} iid", f"{headline} ood", "gap, ood − iid"]
    return markdown_table(headers, rows, words=2) if rows else ""


def _sizes(entry: DatasetEntry, ood: OodEntry) -> str:
    shared = f" {ood.shared_sources:,} source videos are in both and count as different ones." * bool(
        ood.shared_sources
    )
    return (
        f"The same weights on {ood.n_queries:,} queries of {ood.n_videos:,} videos ({ood.n_sources:,} source videos) "
        f"that are unlike train (ood), beside the {entry.n_queries:,} of {entry.n_videos:,} that are like it (iid). "
        f"The gap is not paired: source videos of either split are resampled apart.{shared} An arm that falls no less "
        "than the floors lives on where moments usually lie."
    )
