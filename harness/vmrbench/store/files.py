"""Files that are either whole or not there: written aside, then renamed."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vmrbench.errors import DataError

# 2: diagnostics of the selection, cost by queries per video. A record of format 1 is read as one that lacks them.
FORMAT = 2
READABLE = (1, FORMAT)


def write_text(path: Path, text: str) -> None:
    """Write a file at once: a reader sees the old text or the new one. Folders are made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f"{path.name}.partial-{os.getpid()}")
    try:
        aside.write_text(text, encoding="utf-8")
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)


def write_json(path: Path, value: Any) -> None:
    """Write JSON, indented, keys in the order given.

    Raises:
        ValueError: a float is not finite; an unmeasured number is None.
    """
    write_text(path, json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """Read JSON.

    Raises:
        DataError: not there, or not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise DataError(f"{path}: there is no such file") from error
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise DataError(f"{path}: is not JSON ({error}); delete it to have it written again") from error


def write_record(path: Path, record: Mapping[str, Any]) -> None:
    """Write a record with its format number."""
    write_json(path, {"format": FORMAT, **record})


def read_record(path: Path) -> dict[str, Any]:
    """Read a record, format number included; one of an earlier format lacks what came later.

    Raises:
        DataError: not there, not JSON, or of a format that this version does not read.
    """
    record = read_json(path)
    found = record.get("format") if isinstance(record, dict) else None
    if found not in READABLE:
        raise DataError(f"{path}: format {found!r}, expected {FORMAT}; it was written by another version of vmrbench")
    return dict(record)
