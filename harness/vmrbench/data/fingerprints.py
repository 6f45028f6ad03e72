"""The content of annotations as one number, whatever file format it comes from, and the public splits known by it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass

from vmrbench.data.flavours.values import WrittenQuery
from vmrbench.data.known_splits import KNOWN

DIGITS = 16


@dataclass(frozen=True, kw_only=True)
class KnownSplit:
    """A public split: its name with the code bases that use it, and its numbers of queries and videos."""

    name: str
    queries: int
    videos: int


def content_fingerprint(queries: Iterable[WrittenQuery]) -> str:
    """SHA-256 of what a file says, 16 hexadecimal digits, before any defect is handled.

    Every query counts with video, sentence (runs of spaces as one), duration and windows to a thousandth of a second.
    Order, ids and further keys do not count: the same content has one fingerprint in every flavour.
    """
    digest = hashlib.sha256()
    for line in sorted(map(_line, queries)):
        digest.update(line.encode())
    return digest.hexdigest()[:DIGITS]


def known_split(fingerprint: str) -> KnownSplit | None:
    """The public split with that content, None where it is none we know."""
    if fingerprint not in KNOWN:
        return None
    name, queries, videos = KNOWN[fingerprint]
    return KnownSplit(name=name, queries=queries, videos=videos)


def splits_of_size(queries: int, videos: int) -> list[KnownSplit]:
    """The public splits with those counts, whatever their content."""
    return [KnownSplit(name=n, queries=q, videos=v) for n, q, v in KNOWN.values() if (q, v) == (queries, videos)]


def _line(query: WrittenQuery) -> str:
    windows = [[f"{start:.3f}", f"{end:.3f}"] for start, end in query.windows]
    words = " ".join(query.sentence.split())
    return json.dumps([query.video_id, words, f"{query.duration:.3f}", windows], ensure_ascii=False) + "\n"
