"""Charades-STA as it was published: `VIDEO start end##sentence` a line, durations in a file of their own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from vmrbench.data.flavours.durations import Durations, decimal
from vmrbench.data.flavours.options import FlavourOptions
from vmrbench.data.flavours.values import WrittenQuery, number, sentence, shown, text
from vmrbench.errors import DataError

MARK = "##"


def read_charades_text(path: Path, content: str, options: FlavourOptions) -> Iterator[WrittenQuery]:
    """The queries; their ids are `<video>_<n>`, n counting from 0 in each video. Sentences keep their full stop.

    Raises:
        DataError: no durations are given, a video has none, or a line is not of the form.
    """
    durations = Durations(options.durations, f"{path}: Charades-STA text")
    seen: Counter[str] = Counter()
    for line_number, line in enumerate(content.split("\n"), start=1):
        if not line.strip():
            continue
        where = f"{path}:{line_number}"
        head, mark, words = line.rstrip("\r").partition(MARK)
        parts = head.split()
        if not mark or len(parts) != 3:
            raise DataError(f"{where}: {shown(line)} found, 'VIDEO start end##sentence' expected")
        video = text(parts[0], f"{where}: video")
        start, end = (number(decimal(part, f"{where}: times"), f"{where}: times") for part in parts[1:])
        yield WrittenQuery(
            where=where,
            sample_id=f"{video}_{seen[video]}",
            video_id=video,
            sentence=sentence(words, f"{where}: sentence"),
            duration=durations.of(video, where),
            windows=((start, end),),
            window_key="times",
        )
        seen[video] += 1
