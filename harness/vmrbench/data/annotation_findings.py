"""What can be said of an annotation file without its features: counts, identity, defects."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from pathlib import Path

from vmrbench.data.annotations import NO_CHOICES, AnnotationFile, read_annotations
from vmrbench.data.defects import STRICT, DefectPolicy
from vmrbench.data.findings import Finding, Level
from vmrbench.data.fingerprints import splits_of_size
from vmrbench.data.flavours.options import FlavourOptions
from vmrbench.errors import DataError

# Nothing stops the reading, and nothing but a second query of one id is left out.
LENIENT = DefectPolicy(
    rounding="keep",
    beyond_video="keep",
    outside_video="keep",
    reversed="keep",
    zero_length="keep",
    empty_sentence="keep",
    no_truth="keep",
    duplicate_id="drop",
)

WHAT = {
    "rounding": "windows leave their video by at most 0.1 s",
    "beyond_video": "windows leave their video by more than 0.1 s",
    "outside_video": "windows lie wholly outside their video",
    "reversed": "windows end before they start",
    "zero_length": "windows have no length",
    "empty_sentence": "queries have no words",
    "no_truth": "queries have no window",
    "duplicate_id": "queries have the id of an earlier one",
}


def annotation_findings(
    path: Path,
    *,
    options: FlavourOptions = NO_CHOICES,
    policy: DefectPolicy = STRICT,
    visible_seconds: float | None = None,
) -> list[Finding]:
    """Everything that can be found in an annotation file, defects that would stop its reading included.

    Args:
        path: the file, of any flavour.
        options: what some flavours need beside it.
        policy: what is to be done about defects; decides which findings are errors.
        visible_seconds: length of the input a model sees, for example 75 clips of 2 s; windows that end later are
            counted as truncated truth. None where a model sees whole videos.

    Returns:
        Findings in the order of the checks. A file that cannot be read gives one, `readable`, of level `error`.
    """
    try:
        file = read_annotations(path, options=options, policy=LENIENT)
    except DataError as error:
        return [Finding(check="readable", level="error", message=str(error))]
    return findings_of(file, policy, visible_seconds)


def findings_of(file: AnnotationFile, policy: DefectPolicy, visible_seconds: float | None = None) -> list[Finding]:
    """`annotation_findings` of a file that was read under `LENIENT`."""
    findings = [
        *_identity(file),
        *_defects(file, policy),
        *_durations(file),
        *_repeated(file),
    ]
    return findings if visible_seconds is None else [*findings, *_truncated(file, visible_seconds)]


def is_refused(findings: list[Finding]) -> bool:
    """Whether a finding is an error: the exit code of a check."""
    return any(finding.level == "error" for finding in findings)


def _identity(file: AnnotationFile) -> list[Finding]:
    queries = file.defects.queries_written
    videos = len({annotation.video_id for annotation in file})
    counts = f"{queries} queries, {file.defects.windows_written} windows, {videos} videos"
    return [
        Finding(check="flavour", level="fact", message=f"read as {file.flavour}"),
        Finding(check="counts", level="fact", message=counts, count=queries),
        Finding(check="fingerprint", level="fact", message=f"content {file.fingerprint}"),
        _known(file, queries, videos),
    ]


def _known(file: AnnotationFile, queries: int, videos: int) -> Finding:
    known = file.known_split
    if known is not None:
        return Finding(check="known_split", level="fact", message=f"{known.name}, {known.queries:,}")
    alike = [split.name for split in splits_of_size(queries, videos)]
    if alike:
        message = f"no known split, but of the size of {' and '.join(alike)}: words, times or durations differ"
        return Finding(check="known_split", level="warning", message=message)
    return Finding(check="known_split", level="fact", message="no known split")


def _defects(file: AnnotationFile, policy: DefectPolicy) -> list[Finding]:
    declared = asdict(policy)
    return [
        Finding(
            check=kind,
            level=_level(kind, declared[kind]),
            message=f"{count} {WHAT[kind]}; policy {declared[kind]}; first: {file.defects.first[kind]}",
            count=count,
            first=file.defects.first[kind],
        )
        for kind, count in file.defects.found.items()
    ]


def _level(kind: str, policy: str) -> Level:
    if policy == "error":
        return "error"
    return "fact" if kind == "rounding" else "warning"  # Times of a tenth of a second are how files are published.


def _durations(file: AnnotationFile) -> list[Finding]:
    """A video whose queries disagree about its length."""
    lengths: dict[str, set[float]] = {}
    for annotation in file:
        lengths.setdefault(annotation.video_id, set()).add(annotation.duration)
    several = [video for video, found in lengths.items() if len(found) > 1]
    if not several:
        return []
    message = f"{len(several)} videos have several durations; first: {several[0]!r}: {sorted(lengths[several[0]])}"
    return [Finding(check="durations", level="warning", message=message, count=len(several), first=several[0])]


def _repeated(file: AnnotationFile) -> list[Finding]:
    """Sentences that come twice for one video, whatever their case and outer spaces."""
    pairs = [(annotation.video_id, annotation.sentence.strip().lower()) for annotation in file]
    times = Counter(pairs)
    count = len(pairs) - len(times)
    if not count:
        return []
    video, sentence = next(pair for pair in pairs if times[pair] > 1)
    message = f"{count} queries repeat a sentence of their video; first: {video!r}, {sentence!r}"
    return [Finding(check="repeated_queries", level="fact", message=message, count=count, first=video)]


def _truncated(file: AnnotationFile, seconds: float) -> list[Finding]:
    windows = [(start, end, annotation) for annotation in file for start, end in annotation.moments]
    cut = [annotation for start, end, annotation in windows if start < seconds < end]
    lost = [annotation for start, _, annotation in windows if start >= seconds]
    if not cut and not lost:
        return []
    first = (cut or lost)[0].sample_id
    message = f"of {len(windows)} windows {len(cut)} are cut and {len(lost)} lost after {seconds:g} s of input"
    return [
        Finding(
            check="truncated_truth",
            level="warning",
            message=f"{message}; first: query {first!r}",
            count=len(cut) + len(lost),
            first=first,
        )
    ]
