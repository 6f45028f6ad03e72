"""Defects of published annotations: found, counted, and handled as declared; an error where nothing is declared."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar, Literal, get_args, get_type_hints

from vmrbench.data.flavours.values import Window, WrittenQuery
from vmrbench.errors import DataError
from vmrbench.types import Annotation

ROUNDING_SECONDS = 0.1  # published files round times to a tenth; a window may end so much after the video
EXACT_SECONDS = 1e-6  # far above what binary fractions lose of decimal seconds, far below what anyone writes


@dataclass(frozen=True, kw_only=True)
class DefectPolicy:
    """What is done about each kind of defect; every defect is counted, whatever is done.

    rounding: a window leaves its video by at most 0.1 s; beyond_video: by more; outside_video: it lies wholly before
    or after its video; reversed: it ends before it starts; zero_length: it ends where it starts; empty_sentence: the
    query has no words; no_truth: it has no window; duplicate_id: its id was there before.

    `error` refuses the file; `clip` cuts the window to the video; `swap` exchanges its ends; `drop` leaves the window
    out, and the query with its last one; `keep` leaves it as it is.
    """

    rounding: Literal["error", "clip", "drop", "keep"] = "clip"
    beyond_video: Literal["error", "clip", "drop", "keep"] = "error"
    outside_video: Literal["error", "drop", "keep"] = "error"
    reversed: Literal["error", "swap", "drop", "keep"] = "error"
    zero_length: Literal["error", "drop", "keep"] = "error"
    empty_sentence: Literal["error", "drop", "keep"] = "error"
    no_truth: Literal["error", "drop", "keep"] = "error"
    duplicate_id: Literal["error", "drop"] = "error"

    # Read by pydantic: a misspelt key is an error.
    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}


STRICT = DefectPolicy()


@dataclass(frozen=True, kw_only=True)
class DefectReport:
    """What was found in a file and what became of it.

    found: how many defects of each kind, kinds without any left out; first: where the first of each kind stands;
    policy: what was declared; queries_written, windows_written: as the file has them; queries_dropped,
    windows_dropped: left out (windows of dropped queries count too); windows_changed: clipped or swapped.
    """

    policy: DefectPolicy
    queries_written: int
    windows_written: int
    queries_dropped: int
    windows_dropped: int
    windows_changed: int
    found: Mapping[str, int] = field(default_factory=dict)
    first: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Plain values for a record: no file names, and what was declared for the kinds that were found."""
        declared = asdict(self.policy)
        return {
            "queries_written": self.queries_written,
            "queries_dropped": self.queries_dropped,
            "windows_written": self.windows_written,
            "windows_dropped": self.windows_dropped,
            "windows_changed": self.windows_changed,
            "defects": {kind: {"found": count, "policy": declared[kind]} for kind, count in self.found.items()},
        }


def settle(queries: Iterable[WrittenQuery], policy: DefectPolicy) -> tuple[list[Annotation], DefectReport]:
    """Annotations of what a file holds, with defects handled as declared, and the report about it.

    Raises:
        DataError: a defect whose policy is `error`; the message names its place.
    """
    desk = _Desk(policy)
    annotations = [annotation for query in queries if (annotation := desk.annotation(query)) is not None]
    return annotations, desk.report()


class _Desk:
    """Settles one query after the other, and counts."""

    def __init__(self, policy: DefectPolicy) -> None:
        self._policy = policy
        self._declared: Mapping[str, str] = asdict(policy)
        self._found: Counter[str] = Counter()
        self._first: dict[str, str] = {}
        self._counts: Counter[str] = Counter()
        self._places: dict[str, str] = {}

    def annotation(self, query: WrittenQuery) -> Annotation | None:
        """The annotation, or None where the query is dropped."""
        self._counts["queries_written"] += 1
        self._counts["windows_written"] += len(query.windows)
        moments = self._moments(query) if self._is_kept(query) else None
        if moments is None or (query.windows and not moments):
            self._counts["queries_dropped"] += 1
            self._counts["windows_dropped"] += len(query.windows) if moments is None else 0
            return None
        self._places.setdefault(query.sample_id, query.where)
        return Annotation(
            sample_id=query.sample_id,
            video_id=query.video_id,
            sentence=query.sentence,
            duration=query.duration,
            moments=moments,
            extra=query.extra,
        )

    def report(self) -> DefectReport:
        """The counts so far."""
        names = ("queries_written", "windows_written", "queries_dropped", "windows_dropped", "windows_changed")
        counts = {name: self._counts[name] for name in names}
        return DefectReport(policy=self._policy, found=dict(self._found), first=self._first, **counts)

    def _is_kept(self, query: WrittenQuery) -> bool:
        kept = True
        if query.sample_id in self._places:
            before = self._places[query.sample_id]
            said = f"{query.where}: id {query.sample_id!r} is that of {before} too; give every query its own"
            kept = self._declare("duplicate_id", query.where, said) != "drop"
        if not query.sentence.strip():
            said = f"{query.where}: query: {query.sentence!r} found, text expected"
            kept = self._declare("empty_sentence", query.where, said) != "drop" and kept
        if not query.windows:
            said = f"{query.where}: {query.window_key}: no window found, a list of [start, end] expected"
            kept = self._declare("no_truth", query.where, said) != "drop" and kept
        return kept

    def _moments(self, query: WrittenQuery) -> tuple[Window, ...]:
        moments = []
        for position, window in enumerate(query.windows):
            settled = self._window(window, query.duration, query.place(position))
            if settled is None:
                self._counts["windows_dropped"] += 1
            else:
                moments.append(settled)
                self._counts["windows_changed"] += _differ(settled, window)
        return tuple(moments)

    def _window(self, window: Window, duration: float, place: str) -> Window | None:
        start, end = window
        if end < start:
            done = self._declare("reversed", place, f"{place}: {_said(window)} ends before it starts")
            if done in ("drop", "keep"):
                return window if done == "keep" else None
            start, end = end, start
        kind, what = _fault((start, end), duration)
        if not kind:
            return max(start, 0.0), min(end, duration)
        done = self._declare(kind, place, f"{place}: {_said(window)} {what}")
        if done == "clip":
            return max(start, 0.0), min(end, duration)
        return (start, end) if done == "keep" else None

    def _declare(self, kind: str, place: str, said: str) -> str:
        """Count a defect and say what is to be done about it. Raises DataError where that is `error`."""
        self._found[kind] += 1
        self._first.setdefault(kind, place)
        done = self._declared[kind]
        if done == "error":
            raise DataError(f"{said}; mend the file, or declare {kind}: {CHOICES[kind]}")
        return done


def _choices(kind: str) -> str:
    *most, last = [name for name in get_args(get_type_hints(DefectPolicy)[kind]) if name != "error"]
    return f"{', '.join(most)} or {last}" if most else last


CHOICES = {kind: _choices(kind) for kind in asdict(STRICT)}


def _fault(window: Window, duration: float) -> tuple[str, str]:
    """Kind and description of what is wrong with a window whose ends are in order; empty where nothing is."""
    start, end = window
    video = f"the video of {duration:.10g} s"
    if end == start:
        return "zero_length", "has no length"
    if start >= duration or end <= 0:
        return "outside_video", f"lies outside {video}"
    excess = max(-start, end - duration)
    if excess > ROUNDING_SECONDS:
        return "beyond_video", f"lies beyond {video}"
    return ("rounding", f"leaves {video} by a rounding error") if excess > EXACT_SECONDS else ("", "")


def _differ(first: Window, second: Window) -> bool:
    return max(abs(a - b) for a, b in zip(first, second, strict=True)) > EXACT_SECONDS


def _said(window: Window) -> str:
    return f"[{window[0]:.10g}, {window[1]:.10g}]"
