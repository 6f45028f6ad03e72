"""Which flavour an annotation file is, by its content; its name is not looked at."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vmrbench.data.flavours.activitynet_captions import read_activitynet_captions
from vmrbench.data.flavours.charades_cd import read_charades_cd
from vmrbench.data.flavours.charades_text import MARK, read_charades_text
from vmrbench.data.flavours.cone_lines import read_cone_lines
from vmrbench.data.flavours.didemo import read_didemo
from vmrbench.data.flavours.documents import parse_json, read_text
from vmrbench.data.flavours.ego4d_nlq import read_ego4d_nlq
from vmrbench.data.flavours.ego4d_vslnet import read_ego4d_vslnet
from vmrbench.data.flavours.json_lines import read_json_lines
from vmrbench.data.flavours.mad import read_mad
from vmrbench.data.flavours.options import FlavourOptions
from vmrbench.data.flavours.snag import read_snag
from vmrbench.data.flavours.tacos import read_tacos
from vmrbench.data.flavours.values import WrittenQuery, shown
from vmrbench.errors import DataError

Queries = Iterator[WrittenQuery]
EXPECTED = "one object a line, a JSON document of a known flavour, or 'VIDEO start end##sentence' lines"


@dataclass(frozen=True, kw_only=True)
class Recognised:
    """A flavour by name, and the queries of a file, read one by one."""

    flavour: str
    queries: Queries


@dataclass(frozen=True, kw_only=True)
class _DocumentFlavour:
    """A flavour that is one JSON object: keys that an entry has and lacks, and its reader."""

    name: str
    has: str
    lacks: str = ""
    read: Callable[[Path, Mapping[str, Any], FlavourOptions], Queries]

    def fits(self, keys: frozenset[str]) -> bool:
        """Whether an entry with those keys is of this flavour."""
        return keys.issuperset(self.has.split()) and keys.isdisjoint(self.lacks.split())


# Told apart by the keys of the first entry that has any; at most one fits.
BY_ENTRY = (
    _DocumentFlavour(name="mad", has="movie sentence", read=read_mad),
    _DocumentFlavour(name="ego4d_vslnet", has="exact_times sentences", read=read_ego4d_vslnet),
    _DocumentFlavour(
        name="charades_cd", has="timestamps sentences video_duration", lacks="exact_times", read=read_charades_cd
    ),
    _DocumentFlavour(
        name="tacos",
        has="timestamps sentences fps num_frames",
        lacks="exact_times video_duration duration",
        read=read_tacos,
    ),
    _DocumentFlavour(
        name="activitynet_captions",
        has="timestamps sentences duration",
        lacks="exact_times video_duration fps num_frames",
        read=read_activitynet_captions,
    ),
)


def recognise(path: Path, options: FlavourOptions) -> Recognised:
    """The flavour of a file and its queries; what is wrong with a query shows when it is read.

    Raises:
        DataError: the file cannot be read, is empty or not JSON, or is of no known flavour.
    """
    content = read_text(path)
    first = next((line.strip() for line in content.split("\n") if line.strip()), "")
    if not first:
        raise DataError(f"{path}: no query in the file; {EXPECTED} expected")
    if first[0] not in "{[":
        if MARK not in first:
            raise DataError(f"{path}: {shown(first)} found as its first line; {EXPECTED} expected")
        return Recognised(flavour="charades_sta", queries=read_charades_text(path, content, options))
    lines = _lines_flavour(path, content, first)
    return lines if lines is not None else _document(path, parse_json(content, str(path), EXPECTED), options)


def _lines_flavour(path: Path, content: str, first: str) -> Recognised | None:
    """JSON lines: the first line is an object with the keys of a query, or one of several values."""
    try:
        row = json.loads(first)
    except (ValueError, RecursionError):
        # A damaged first line before others that are objects: its own reader says what is wrong with it.
        return _json_lines(path, content) if first[0] == "{" and _second_line_is_object(content) else None
    if isinstance(row, dict) and "query_id" in row and "qid" not in row:
        return Recognised(flavour="cone", queries=read_cone_lines(path, content))
    if isinstance(row, dict) and ({"qid", "query", "vid"} & set(row) or _second_line_is_object(content)):
        highlights = {"saliency_scores", "relevant_clip_ids"} & set(row)
        return _json_lines(path, content, "qvhighlights" if highlights else "tvr_jsonl")
    return None


def _json_lines(path: Path, content: str, flavour: str = "tvr_jsonl") -> Recognised:
    return Recognised(flavour=flavour, queries=read_json_lines(path, content))


def _second_line_is_object(content: str) -> bool:
    lines = (line.strip() for line in content.split("\n") if line.strip())
    next(lines)
    second = next(lines, "")
    try:
        return isinstance(json.loads(second), dict)
    except (ValueError, RecursionError):
        return False


def _document(path: Path, document: Any, options: FlavourOptions) -> Recognised:
    if isinstance(document, list):
        return Recognised(flavour="didemo", queries=read_didemo(path, document))
    if not document:
        raise DataError(f"{path}: no query in the file; {EXPECTED} expected")
    if isinstance(document.get("videos"), list):
        return Recognised(flavour="ego4d_nlq", queries=read_ego4d_nlq(path, document, options))
    keys = _keys_of_entries(document)
    fitting = [flavour for flavour in BY_ENTRY if flavour.fits(keys)]
    if fitting:
        return Recognised(flavour=fitting[0].name, queries=fitting[0].read(path, document, options))
    if {"fps", "num_frames", "duration", "timestamps"} <= keys:
        raise DataError(f"{path}: fps, num_frames and duration found: whether timestamps are frames cannot be told")
    if _is_snag(document):
        return Recognised(flavour="snag", queries=read_snag(path, document, options))
    raise DataError(f"{path}: entries with the keys {shown(sorted(keys))} found; {EXPECTED} expected, see docs/data.md")


def _keys_of_entries(document: Mapping[str, Any]) -> frozenset[str]:
    """Keys of the first entry that is an object."""
    return next((frozenset(entry) for entry in document.values() if isinstance(entry, dict) and entry), frozenset())


def _is_snag(document: Mapping[str, Any]) -> bool:
    entries = (entry for split in document.values() if isinstance(split, dict) for entry in split.values())
    return any(isinstance(entry, dict) and "annotations" in entry for entry in entries)
