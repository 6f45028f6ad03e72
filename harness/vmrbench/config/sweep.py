"""Reading a sweep file, and expanding it to cells."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from vmrbench.config.document import read_document
from vmrbench.config.mistakes import first_mistake
from vmrbench.config.overrides import apply_sets
from vmrbench.config.places import Document, KeyPath, Place
from vmrbench.config.schema import SweepFile
from vmrbench.config.settings import TrainConfig
from vmrbench.config.variants import expand_each
from vmrbench.errors import ConfigError, did_you_mean
from vmrbench.plugin_sources import is_file_name
from vmrbench.protocol.convention import VMRBENCH_V1
from vmrbench.protocol.published import PROTOCOLS

if TYPE_CHECKING:
    from vmrbench.catalog import Catalog, Offer
    from vmrbench.config.cells import Cell

KINDS = ("dataset", "backbone", "trimmer", "seed")


@dataclass(frozen=True, kw_only=True)
class SweepConfig:
    """A sweep file that is valid by itself; plug-in names and options are checked by `resolve`.

    file: the checked keys; document: what was written and where; only: chosen ids by kind, as globs. Picklable.
    """

    file: SweepFile
    document: Document
    only: Mapping[str, tuple[str, ...]]

    @property
    def path(self) -> Path:
        """The file itself."""
        return self.document.whole.folder / Path(self.document.whole.source).name

    @property
    def store(self) -> Path:
        """Folder of the runs, absolute."""
        return self._path("store", self.file.store)

    @property
    def report(self) -> Path:
        """The Markdown report, absolute."""
        return self._path("report", self.file.report)

    @property
    def records(self) -> Path:
        """Folder of compact sweep records, absolute."""
        return self._path("records", self.file.records)

    @property
    def plugins(self) -> tuple[Path | str, ...]:
        """Plug-ins for `load_catalog`: absolute paths of files, names of modules."""
        return tuple(self._plugin(number, text) for number, text in enumerate(self.file.plugins))

    def resolve(self, catalog: Catalog) -> list[Cell]:
        """Every chosen cell, options filled: by data set, backbone, trimmer, then seed.

        Raises:
            ConfigError: an unknown plug-in, option or preset, a wrong value, a choice that fits nothing.
        """
        from vmrbench.config.resolve import resolve_cells

        return resolve_cells(self, catalog)

    def launcher(self, catalog: Catalog) -> tuple[Offer, Any]:
        """The launcher and its filled options."""
        from vmrbench.config.resolve import resolve_launcher

        return resolve_launcher(self, catalog)

    def chosen(self, kind: str, label: str) -> bool:
        """Whether `--only` lets this id of a kind through."""
        globs = self.only.get(kind)
        return globs is None or any(fnmatchcase(label, glob) for glob in globs)

    def with_device(self, device: str) -> SweepConfig:
        """The same sweep on another device.

        Raises:
            ConfigError: not the name of a device.
        """
        place = Place(source=f"--device {device}", folder=Path.cwd())
        document = replace(
            self.document,
            data={**self.document.data, "device": device},
            places={**self.document.places, ("device",): place},
        )
        return replace(self, file=_checked(document), document=document)

    def _path(self, key: str, text: str) -> Path:
        return (self.document.place((key,)).folder / Path(text).expanduser()).resolve()

    def _plugin(self, number: int, text: str) -> Path | str:
        if not is_file_name(text):
            return text
        return self.document.place(("plugins", number)).folder / Path(text).expanduser()


def load_config(
    path: Path | str, sets: Sequence[str] = (), only: Sequence[str] = (), limit: int | None = None
) -> SweepConfig:
    """Read and check a sweep file.

    Args:
        path: the YAML file.
        sets: `key.path=value`, applied in turn.
        only: `kind=glob` with kind dataset, backbone, trimmer or seed; globs of one kind add up.
        limit: largest number of queries a split, instead of the file's.

    Raises:
        ConfigError: one line with file, line, key, what was found, what was expected, what to do.
    """
    extra = () if limit is None else (f"limit={limit}",)
    document = expand_each(apply_sets(read_document(Path(path)), (*sets, *extra)))
    config = SweepConfig(file=_checked(document), document=document, only=_parse_only(only))
    if config.file.protocol not in PROTOCOLS:
        hint = did_you_mean(config.file.protocol, PROTOCOLS)
        raise ConfigError(f"{document.where(('protocol',))}: no protocol is named {config.file.protocol!r}{hint}")
    _check_metrics(config.file, document)
    _check_unique("probe", [item.label for item in config.file.probes], document)
    for kind, labels in labels_of(config.file).items():
        _check_unique(kind, labels, document)
        _check_chosen(kind, labels, config)
    return config


def labels_of(file: SweepFile) -> dict[str, list[str]]:
    """The ids of a sweep by kind."""
    return {
        "dataset": [item.label for item in file.datasets],
        "backbone": [item.label for item in file.backbones],
        "trimmer": [item.label for item in file.trimmers],
        "seed": [str(seed) for seed in file.seeds],
    }


def _checked(document: Document) -> SweepFile:
    try:
        # Through JSON: strict checking of Python objects would refuse what YAML can only write as a list.
        return SweepFile.model_validate_json(json.dumps(document.data))
    except ValidationError as error:
        raise first_mistake(error, document.where, _known_keys) from error


def _known_keys(path: KeyPath) -> Iterable[str]:
    """The keys allowed beside the last step of `path`, from the JSON Schema."""
    schema = SweepFile.model_json_schema()
    node: Mapping[str, Any] = schema
    for part in path[:-1]:
        node = node.get("items", {}) if isinstance(part, int) else node.get("properties", {}).get(part, {})
        if "$ref" in node:
            node = schema["$defs"][node["$ref"].rpartition("/")[2]]
    return list(node.get("properties", {}))


def _parse_only(only: Sequence[str]) -> dict[str, tuple[str, ...]]:
    chosen: dict[str, tuple[str, ...]] = {}
    for text in only:
        kind, equals, glob = text.partition("=")
        if not equals or not glob:
            raise ConfigError(f"--only {text}: expected KIND=ID, such as backbone=2d_tan")
        if kind not in KINDS:
            raise ConfigError(f"--only {text}: no kind is named {kind!r}{did_you_mean(kind, KINDS)}")
        chosen[kind] = (*chosen.get(kind, ()), glob)
    return chosen


def _check_metrics(file: SweepFile, document: Document) -> None:
    """The metric that chooses the epoch is one of `vmrbench-v1`, by which training validates whatever is reported."""
    known = VMRBENCH_V1.metric_names
    trains: list[tuple[KeyPath, TrainConfig]] = [(("train",), file.train)]
    trains += [(("backbones", number, "train"), item.train) for number, item in enumerate(file.backbones)]
    trains += [(("trimmers", number, "train"), item.train) for number, item in enumerate(file.trimmers)]
    for path, train in trains:
        if train.select_by not in known:
            where = document.where((*path, "select_by"))
            hint = did_you_mean(train.select_by, known)
            raise ConfigError(f"{where}: protocol {VMRBENCH_V1.name!r} has no metric {train.select_by!r}{hint}")


def _check_unique(kind: str, labels: list[str], document: Document) -> None:
    for number, label in enumerate(labels):
        if label in labels[:number]:
            first = labels.index(label)
            where = document.where((f"{kind}s", number))
            raise ConfigError(f"{where}: the id {label!r} is taken by {kind}s[{first}]; give one of them another 'id:'")


def _check_chosen(kind: str, labels: list[str], config: SweepConfig) -> None:
    for glob in config.only.get(kind, ()):
        if not any(fnmatchcase(label, glob) for label in labels):
            raise ConfigError(f"--only {kind}={glob}: no {kind} fits{did_you_mean(glob, labels)}")
