"""MAD: one object a query, by id, with two fields of times: `timestamps` and `ext_timestamps`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from vmrbench.data.flavours.options import FlavourOptions
from vmrbench.data.flavours.values import WrittenQuery, mapping, pair, positive, required, sentence, shown, text
from vmrbench.errors import DataError

FIELDS = ("timestamps", "ext_timestamps")


def read_mad(path: Path, document: Mapping[str, Any], options: FlavourOptions) -> Iterator[WrittenQuery]:
    """The queries; ids are the keys of the file.

    The official VLG-Net baseline trains and tests on `ext_timestamps`, CONE on `timestamps`: a file that has both
    needs the choice `timestamp_field`.

    Raises:
        DataError: the choice is missing or names a field that is not there, or a value has the wrong type.
    """
    field = None
    for key, value in document.items():
        where = f"{path}, query {shown(key)}"
        entry = mapping(value, where, "'movie', 'sentence' and times")
        field = field or _chosen(entry, options, where)
        read = ("movie", "sentence", "movie_duration", field)
        yield WrittenQuery(
            where=where,
            sample_id=text(key, f"{path}: query id"),
            video_id=text(required(entry, "movie", where), f"{where}: movie"),
            sentence=sentence(required(entry, "sentence", where), f"{where}: sentence"),
            duration=positive(required(entry, "movie_duration", where), f"{where}: movie_duration"),
            windows=(pair(required(entry, field, where), f"{where}: {field}"),),
            window_key=field,
            extra={**{name: item for name, item in entry.items() if name not in read}, "qid": key},
        )


def _chosen(entry: Mapping[str, Any], options: FlavourOptions, where: str) -> str:
    found = [field for field in FIELDS if field in entry]
    if options.timestamp_field is not None:
        required(entry, options.timestamp_field, where)
        return options.timestamp_field
    if len(found) != 1:
        raise DataError(
            f"{where}: {' and '.join(found) or 'no times'} found; set timestamp_field: ext_timestamps (VLG-Net, the "
            "official baseline) or timestamps (CONE)"
        )
    return found[0]
