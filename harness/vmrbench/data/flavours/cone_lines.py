"""JSON lines of CONE: Ego4D NLQ and MAD, one object a line with `query_id` and `timestamps` in seconds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from vmrbench.data.flavours.json_lines import rows_of, windows_of
from vmrbench.data.flavours.values import WrittenQuery, positive, query_id, required, sentence, shown, text

READ = ("query_id", "query", "duration", "timestamps")


def read_cone_lines(path: Path, content: str) -> Iterator[WrittenQuery]:
    """The queries of a file of CONE; the video is the clip where the line names one. Raises DataError."""
    for where, row in rows_of(path, content):
        for key in ("query_id", "query", "duration"):
            required(row, key, where)
        written = query_id(row["query_id"], f"{where}: query_id")
        identified = f"{where}, query_id {shown(written)}"
        video_key = "clip_id" if "clip_id" in row else "video_id"
        times = row.get("timestamps")
        one = isinstance(times, list) and len(times) == 2 and not isinstance(times[0], list)
        extra = {key: value for key, value in row.items() if key not in READ}
        if isinstance(row.get("video_id"), str) and video_key == "clip_id":
            extra["source_video"] = row["video_id"]
        yield WrittenQuery(
            where=identified,
            sample_id=str(written),
            video_id=text(required(row, video_key, identified), f"{identified}: {video_key}"),
            sentence=sentence(row["query"], f"{identified}: query"),
            duration=positive(row["duration"], f"{identified}: duration"),
            windows=windows_of([times] if one else times, identified, "timestamps"),
            window_key="timestamps",
            numbered=True,
            extra={**extra, "qid": written},
        )
