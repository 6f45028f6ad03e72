"""Data set plug-in `jsonl`: real annotations (one JSON object a line) with feature files or simulated features."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Literal

from vmrbench.data.annotations import WindowPolicy, count_cut_windows, read_annotations
from vmrbench.data.features import FeatureSource
from vmrbench.data.provider import FilesProvider, Provider
from vmrbench.data.rows import Tolerance
from vmrbench.data.splits import carve_validation, limit
from vmrbench.errors import ConfigError, DataError, did_you_mean
from vmrbench.hookspecs import hookimpl
from vmrbench.protocols import DatasetFacts, Split
from vmrbench.specs import DatasetSpec
from vmrbench.types import Annotation, FinerClips, Sample
from vmrbench_plugins._simulator.annotated import SimulatedProvider

REVISION = 1
SPLITS = ("train", "val", "test")


@dataclass(frozen=True, kw_only=True)
class JsonlOptions:
    """Options of `jsonl`.

    train, val, test: annotation files; without `val`, `val_share` of the training videos (0..1) become validation;
    features: `simulated`, or where the features lie; features_root: folder that relative paths of feature sources
    start from, the working folder where None; words: npz of word vectors, hashed vectors where None (not read
    where a feature source has the role text); clip_seconds: length of a row of simulated features; seed: of carving,
    limits and simulated features; limit_videos, limit_queries: at most so many in each split; windows_beyond: whether
    a window beyond its video is an error or is cut; duration_tolerance: seconds that rows and video may differ, two
    rows where None; cut_rows_at_most: rows that sources of one video may differ.
    """

    train: Path | None = None
    val: Path | None = None
    test: Path | None = None
    val_share: float = 0.1
    features: Literal["simulated"] | tuple[FeatureSource, ...] = "simulated"
    features_root: Path | None = None
    words: Path | None = None
    clip_seconds: float = 2.0
    seed: int = 0
    limit_videos: int | None = None
    limit_queries: int | None = None
    windows_beyond: WindowPolicy = "error"
    duration_tolerance: float | None = None
    cut_rows_at_most: int = 2


class JsonlDataset:
    """Splits of annotation files; files are read when a split or the facts are first asked for."""

    def __init__(self, options: JsonlOptions) -> None:
        self._options = options
        self._made: dict[str, JsonlSplit] = {}

    @cached_property
    def facts(self) -> DatasetFacts:
        """Widths, encoders, fingerprint and stamps; reads every annotation file and the first features."""
        return self._provider.facts(
            fingerprint=self._fingerprint(),
            notes={
                "windows_cut": sum(count_cut_windows(rows) for rows in self._files.values()),
                "val": "file" if self._options.val else f"{self._options.val_share} of the training videos",
            },
        )

    def split(self, name: str) -> Split:
        """The split `train`, `val` or `test`. Raises DataError where it is not there, empty, or lacks features."""
        if name not in SPLITS:
            raise DataError(f"data set 'jsonl' has no split {name!r}{did_you_mean(name, SPLITS)}")
        if name not in self._made:
            annotations = self._chosen(name)
            self._provider.check_coverage(annotations)
            self._made[name] = JsonlSplit(annotations, self._provider)
        return self._made[name]

    @cached_property
    def _files(self) -> dict[str, list[Annotation]]:
        """Annotations by option name, as the files hold them."""
        paths = {name: getattr(self._options, name) for name in SPLITS}
        policy = self._options.windows_beyond
        return {name: read_annotations(path, windows_beyond=policy) for name, path in paths.items() if path is not None}

    @cached_property
    def _provider(self) -> Provider:
        everything = [annotation for rows in self._files.values() for annotation in rows]
        options = self._options
        if options.features == "simulated":
            return SimulatedProvider(everything, options.words, options.clip_seconds, options.seed)
        tolerance = Tolerance(rows=options.cut_rows_at_most, seconds=options.duration_tolerance)
        root = options.features_root or Path()
        sources = [replace(source, path=root / source.path) for source in options.features]
        return FilesProvider(everything, sources, options.words, tolerance)

    def _chosen(self, name: str) -> list[Annotation]:
        options = self._options
        return limit(self._whole(name), videos=options.limit_videos, queries=options.limit_queries, seed=options.seed)

    def _whole(self, name: str) -> list[Annotation]:
        carved = self._options.val is None and "train" in self._files
        if name == "test" or not carved:
            if name not in self._files:
                raise DataError(f"data set 'jsonl' has no split {name!r}: no file is given for it; set option {name!r}")
            return self._files[name]
        train, val = carve_validation(self._files["train"], self._options.val_share, self._options.seed)
        return train if name == "train" else val

    def _fingerprint(self) -> str:
        digest = hashlib.sha256(json.dumps(_without_paths(self._options), sort_keys=True).encode())
        for name in self._files:
            digest.update(name.encode())
            digest.update(hashlib.sha256(getattr(self._options, name).read_bytes()).digest())
        if self._options.words is not None:
            digest.update(hashlib.sha256(self._options.words.read_bytes()).digest())
        digest.update(self._provider.identity().encode())
        return digest.hexdigest()


class JsonlSplit:
    """One split; features are read when a video is first asked for."""

    def __init__(self, annotations: Sequence[Annotation], provider: Provider) -> None:
        self._annotations = list(annotations)
        self._provider = provider

    def __len__(self) -> int:
        return len(self._annotations)

    def __getitem__(self, position: int) -> Sample:
        return self._provider.sample(self._annotations[position])

    def finer(self, position: int, factor: int) -> FinerClips:
        """The clips of a sample cut into `factor` each. Raises DataError where there are no features for them."""
        return self._provider.finer(self._annotations[position], factor)

    @property
    def annotations(self) -> Sequence[Annotation]:
        """The annotations in the order of the samples."""
        return self._annotations


def build_jsonl(options: JsonlOptions) -> JsonlDataset:
    """Build the data set. Raises ConfigError for options that cannot be met."""
    if options.train is None and options.val is None and options.test is None:
        raise ConfigError("data set 'jsonl': no annotation file is given; set train, val or test")
    if not 0.0 < options.val_share < 1.0:
        raise ConfigError(f"data set 'jsonl': val_share: {options.val_share} found, a share between 0 and 1 expected")
    for name in ("limit_videos", "limit_queries", "clip_seconds"):
        value = getattr(options, name)
        if value is not None and value <= 0:
            raise ConfigError(f"data set 'jsonl': {name}: {value} found, a number above 0 expected")
    if options.features != "simulated" and not any(source.role == "clips" for source in options.features):
        raise ConfigError("data set 'jsonl': features: no source of role 'clips'; add one, or write simulated")
    return JsonlDataset(options)


@hookimpl
def vmr_datasets() -> list[DatasetSpec]:
    """Offer `jsonl`."""
    return [
        DatasetSpec(
            name="jsonl",
            summary="annotations of one JSON object a line, with feature files or simulated features",
            source="schema of https://github.com/jayleicn/moment_detr",
            options=JsonlOptions,
            build=build_jsonl,
            revision=REVISION,
        )
    ]


def _without_paths(options: JsonlOptions) -> dict[str, object]:
    """Everything that can change a sample but where the files lie."""
    values = asdict(options)
    for name in (*SPLITS, "words", "features_root"):
        values.pop(name)
    if options.features != "simulated":
        values["features"] = [{k: v for k, v in source.items() if k != "path"} for source in values["features"]]
    return {**values, "revision": REVISION}
