"""Data set plug-in `jsonl`: real annotations of any published flavour, with feature files or simulated features."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal

from vmrbench.data.annotations import NO_CHOICES, AnnotationFile, read_annotations
from vmrbench.data.defects import STRICT, DefectPolicy
from vmrbench.data.features import FeatureSource
from vmrbench.data.flavours.options import FlavourOptions
from vmrbench.data.provider import FilesProvider, Provider
from vmrbench.data.rows import Tolerance
from vmrbench.data.splits import carve_validation, limit
from vmrbench.errors import ConfigError, DataError, did_you_mean
from vmrbench.hookspecs import hookimpl
from vmrbench.identity import identity_of_options
from vmrbench.protocols import DatasetFacts, Split
from vmrbench.specs import DatasetSpec
from vmrbench.types import Annotation, Sample
from vmrbench_plugins._simulator.annotated import SimulatedProvider

REVISION = 2
SPLITS = ("train", "val", "test")
DROPPED = "TEST QUERIES DROPPED"
UNUSABLE = ("reversed", "empty_sentence", "no_truth")  # Kept, such a query can be neither trained on nor scored.


@dataclass(frozen=True, kw_only=True)
class SplitKeys:
    """Names of the splits inside files that hold several (SnAG)."""

    train: str | None = None
    val: str | None = None
    test: str | None = None

    # Read by pydantic: a misspelt key is an error.
    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}


ONE_SPLIT = SplitKeys()


@dataclass(frozen=True, kw_only=True)
class JsonlOptions:
    """Options of `jsonl`.

    train, val, test: annotation files of any flavour; without `val`, `val_share` of the training videos (0..1) become
    validation; features: `simulated`, or where the features lie; features_root: folder that relative paths of feature
    sources start from, the working folder where None; words: npz of word vectors, hashed vectors where None (not read
    where a feature source has the role text); clip_seconds: length of a row of simulated features; seed: of carving,
    limits and simulated features; limit_videos, limit_queries: at most so many in each split; defects: what is done
    about each kind of defect; flavour: what some flavours need beside the file; split_keys: names of the splits
    inside files that hold several; duration_tolerance: seconds that rows and video may differ, two rows where None;
    cut_rows_at_most: rows that sources of one video may differ.
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
    defects: DefectPolicy = STRICT
    flavour: FlavourOptions = NO_CHOICES
    split_keys: SplitKeys = ONE_SPLIT
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
        facts = self._provider.facts(
            fingerprint=self._fingerprint(),
            notes={
                "annotations": {name: _noted(file) for name, file in self._files.items()},
                "val": "file" if self._options.val else f"{self._options.val_share} of the training videos",
            },
        )
        dropped = "test" in self._files and self._files["test"].defects.queries_dropped > 0
        return replace(facts, stamps=(*facts.stamps, DROPPED)) if dropped else facts

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
    def _files(self) -> dict[str, AnnotationFile]:
        """Annotation files by option name."""
        options = self._options
        paths = {name: getattr(options, name) for name in SPLITS if getattr(options, name) is not None}
        return {
            name: read_annotations(path, options=self._flavour(name), policy=options.defects)
            for name, path in paths.items()
        }

    def _flavour(self, name: str) -> FlavourOptions:
        key = getattr(self._options.split_keys, name)
        return self._options.flavour if key is None else replace(self._options.flavour, split=key)

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

    def _whole(self, name: str) -> Sequence[Annotation]:
        carved = self._options.val is None and "train" in self._files
        if name == "test" or not carved:
            if name not in self._files:
                raise DataError(f"data set 'jsonl' has no split {name!r}: no file is given for it; set option {name!r}")
            return self._files[name]
        train, val = carve_validation(self._files["train"], self._options.val_share, self._options.seed)
        return train if name == "train" else val

    def _fingerprint(self) -> str:
        options = self._options
        digest = hashlib.sha256(json.dumps({**identity_of_options(options), "revision": REVISION}).encode())
        read = {name: getattr(options, name) for name in (*self._files, "words")}
        read |= {f"durations[{place}]": path for place, path in enumerate(options.flavour.durations)}
        for name, path in read.items():
            if path is not None:
                digest.update(name.encode())
                digest.update(hashlib.sha256(path.read_bytes()).digest())
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
    _check_policy(options.defects)
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
            summary="annotations of any published flavour, with feature files or simulated features",
            source="files of the data sets, see docs/data.md",
            options=JsonlOptions,
            build=build_jsonl,
            revision=REVISION,
        )
    ]


def _noted(file: AnnotationFile) -> dict[str, Any]:
    known = file.known_split
    return {
        "flavour": file.flavour,
        "fingerprint": file.fingerprint,
        "known_split": None if known is None else known.name,
        **file.defects.to_json(),
    }


def _check_policy(policy: DefectPolicy) -> None:
    for kind in UNUSABLE:
        if getattr(policy, kind) == "keep":
            raise ConfigError(
                f"data set 'jsonl': defects: {kind}: 'keep' found; a model can be neither trained on such a query nor "
                "scored; choose drop"
            )
