"""Data set plug-in `jsonl`: real annotations of any published flavour, with feature files or simulated features."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import ClassVar, Literal

from vmrbench.data.annotations import NO_CHOICES, AnnotationFile, read_annotations
from vmrbench.data.defects import STRICT, DefectPolicy
from vmrbench.data.doctor import AnnotationSource, Material
from vmrbench.data.features import FeatureSource, FeatureStore
from vmrbench.data.flavours.options import FlavourOptions
from vmrbench.data.layouts import FeatureLayout, sources_of
from vmrbench.data.packed import CacheChoice, Precision
from vmrbench.data.provider import FilesProvider, Provider
from vmrbench.data.query_words import QueryFeatures, WordVectors, file_sha256
from vmrbench.data.rows import Tolerance
from vmrbench.data.sentences import SentenceVectors
from vmrbench.data.splits import carve_validation, limit
from vmrbench.data.words import UnknownWords
from vmrbench.errors import ConfigError, DataError, did_you_mean
from vmrbench.hookspecs import hookimpl
from vmrbench.identity import identity_of_options
from vmrbench.option_types import Count, CountOrZero, NotNegative, Positive, Share
from vmrbench.protocols import DatasetFacts, Split
from vmrbench.specs import DatasetSpec
from vmrbench.types import Annotation, FinerClips, Sample
from vmrbench_plugins._simulator.annotated import SimulatedProvider

REVISION = 2
SPLITS = ("train", "val", "test", "test_ood")
DROPPED = "TEST QUERIES DROPPED"
UNUSABLE = ("reversed", "empty_sentence", "no_truth")  # Kept, such a query can be neither trained on nor scored.


@dataclass(frozen=True, kw_only=True)
class SplitKeys:
    """Names of the splits inside files that hold several (SnAG)."""

    train: str | None = None
    val: str | None = None
    test: str | None = None
    test_ood: str | None = field(default=None, metadata={"identity": "if changed"})

    # Read by pydantic: a misspelt key is an error.
    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}


ONE_SPLIT = SplitKeys()


@dataclass(frozen=True, kw_only=True)
class JsonlOptions:
    """Options of `jsonl`.

    train, val, test: annotation files of any flavour; without `val`, `val_share` of the training videos (0..1) become
    validation; features: `simulated`, a list of sources, or the layout of a published code base; features_root: folder
    that relative paths of feature sources start from, the working folder where None; cache: folder of memory-mapped
    copies of feature files, none where None; cache_precision: of these copies; words: table of word vectors, hashed
    vectors where None (not read where a feature source has the role text); unknown_words: what a word gets that the
    table lacks, a vector hashed from its spelling or zeros; sentence_encoder: import name of an installed package with
    a sentence encoder inside, in place of word vectors; clip_seconds: length of a row of simulated features; seed: of
    carving, limits and simulated features; limit_videos, limit_queries: at most so many in each split; defects: what is
    done about each kind of defect; flavour: what some flavours need beside the file; split_keys: names of the splits
    inside files that hold several; duration_tolerance: seconds that rows and video may differ, two rows where None;
    cut_rows_at_most: rows that sources of one video may differ; test_ood: annotation file of a second test split,
    whose moments lie otherwise than those of train.
    """

    train: Path | None = None
    val: Path | None = None
    test: Path | None = None
    val_share: Share = 0.1
    features: Literal["simulated"] | tuple[FeatureSource, ...] | FeatureLayout = "simulated"
    features_root: Path | None = None
    cache: Path | None = None
    cache_precision: Precision = field(default="fp32", metadata={"identity": "if changed"})
    words: Path | None = None
    unknown_words: UnknownWords = field(default="hashed", metadata={"identity": "if changed"})
    sentence_encoder: str | None = field(default=None, metadata={"identity": "if changed"})
    clip_seconds: Positive = 2.0
    seed: CountOrZero = 0
    limit_videos: Count | None = None
    limit_queries: Count | None = None
    defects: DefectPolicy = STRICT
    flavour: FlavourOptions = NO_CHOICES
    split_keys: SplitKeys = ONE_SPLIT
    duration_tolerance: NotNegative | None = None
    cut_rows_at_most: CountOrZero = 2
    test_ood: Path | None = field(default=None, metadata={"identity": "if changed"})


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
                "annotations": {name: file.described() for name, file in self._files.items()},
                "val": "file" if self._options.val else f"{self._options.val_share} of the training videos",
            },
        )
        tests = [self._files[name] for name in ("test", "test_ood") if name in self._files]
        dropped = any(file.defects.queries_dropped > 0 for file in tests)
        return replace(facts, stamps=(*facts.stamps, DROPPED)) if dropped else facts

    @property
    def has_ood(self) -> bool:
        """Whether a file is given for `test_ood`."""
        return self._options.test_ood is not None

    def split(self, name: str) -> Split:
        """The split of that name, one of `SPLITS`. Raises DataError where it is not there, empty, or lacks features."""
        if name not in SPLITS:
            raise DataError(f"data set 'jsonl' has no split {name!r}{did_you_mean(name, SPLITS)}")
        if name not in self._made:
            annotations = self._chosen(name)
            self._provider.check_coverage(annotations)
            self._made[name] = JsonlSplit(annotations, self._provider)
        return self._made[name]

    def material(self) -> Material:
        """Annotation files and feature sources, for `vmrbench data doctor`. Raises DataError for a missing source."""
        policy = self._options.defects
        return Material(
            annotations={
                name: AnnotationSource(path=path, options=self._flavour(name), policy=policy)
                for name, path in self._paths.items()
            },
            stores=[FeatureStore(source) for source in self._sources],
            tolerance=self._tolerance,
        )

    @property
    def _tolerance(self) -> Tolerance:
        return Tolerance(rows=self._options.cut_rows_at_most, seconds=self._options.duration_tolerance)

    @cached_property
    def _files(self) -> dict[str, AnnotationFile]:
        """Annotation files by option name."""
        policy = self._options.defects
        return {
            name: read_annotations(path, options=self._flavour(name), policy=policy)
            for name, path in self._paths.items()
        }

    @property
    def _paths(self) -> dict[str, Path]:
        """The files that are given, by option name."""
        paths = {name: getattr(self._options, name) for name in SPLITS}
        return {name: path for name, path in paths.items() if path is not None}

    def _flavour(self, name: str) -> FlavourOptions:
        key = getattr(self._options.split_keys, name)
        return self._options.flavour if key is None else replace(self._options.flavour, split=key)

    @cached_property
    def _provider(self) -> Provider:
        everything = [annotation for rows in self._files.values() for annotation in rows]
        options = self._options
        cache = None if options.cache is None else CacheChoice(folder=options.cache, precision=options.cache_precision)
        queries = _queries(options, everything, cache)
        if options.features == "simulated":
            return SimulatedProvider(everything, queries, options.clip_seconds, options.seed)
        return FilesProvider(everything, self._sources, queries, self._tolerance, cache)

    @cached_property
    def _sources(self) -> tuple[FeatureSource, ...]:
        options = self._options
        root = options.features_root or Path()
        if isinstance(options.features, FeatureLayout):
            return sources_of(replace(options.features, root=root / options.features.root))
        if options.features == "simulated":
            return ()
        return tuple(replace(source, path=root / source.path) for source in options.features)

    def _chosen(self, name: str) -> list[Annotation]:
        options = self._options
        return limit(self._whole(name), videos=options.limit_videos, queries=options.limit_queries, seed=options.seed)

    def _whole(self, name: str) -> Sequence[Annotation]:
        carved = self._options.val is None and "train" in self._files
        if name in ("test", "test_ood") or not carved:
            if name not in self._files:
                raise DataError(f"data set 'jsonl' has no split {name!r}: no file is given for it; set option {name!r}")
            return self._files[name]
        train, val = carve_validation(self._files["train"], self._options.val_share, self._options.seed)
        return train if name == "train" else val

    def _fingerprint(self) -> str:
        options = self._options
        described = {**identity_of_options(options), "revision": REVISION}
        if isinstance(options.features, FeatureLayout):  # What the layout stands for may change one day.
            described["sources"] = [identity_of_options(source) for source in self._sources]
        digest = hashlib.sha256(json.dumps(described, sort_keys=True).encode())
        read = {name: getattr(options, name) for name in (*self._files, "words")}
        read |= {f"durations[{place}]": path for place, path in enumerate(options.flavour.durations)}
        for name, path in read.items():
            if path is not None:
                digest.update(name.encode())
                digest.update(file_sha256(path))
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
    _check_policy(options.defects)
    for name in ("limit_videos", "limit_queries", "clip_seconds"):
        value = getattr(options, name)
        if value is not None and value <= 0:
            raise ConfigError(f"data set 'jsonl': {name}: {value} found, a number above 0 expected")
    if options.words is not None and options.sentence_encoder is not None:
        raise ConfigError("data set 'jsonl': words and sentence_encoder are both given; leave one out")
    if options.cache is None and options.cache_precision != "fp32":
        raise ConfigError(f"data set 'jsonl': cache_precision: {options.cache_precision} needs a cache; set cache")
    features = sources_of(options.features) if isinstance(options.features, FeatureLayout) else options.features
    roles = () if features == "simulated" else tuple(source.role for source in features)
    if "text" in roles and options.sentence_encoder is not None:
        raise ConfigError("data set 'jsonl': a feature source has the role text; leave sentence_encoder out")
    if features != "simulated" and "clips" not in roles:
        raise ConfigError("data set 'jsonl': features: no source of role 'clips'; add one, or write simulated")
    return JsonlDataset(options)


def _queries(options: JsonlOptions, annotations: Sequence[Annotation], cache: CacheChoice | None) -> QueryFeatures:
    if options.sentence_encoder is not None:
        return SentenceVectors(options.sentence_encoder, annotations, cache)
    return WordVectors(options.words, annotations, options.unknown_words)


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


def _check_policy(policy: DefectPolicy) -> None:
    for kind in UNUSABLE:
        if getattr(policy, kind) == "keep":
            raise ConfigError(
                f"data set 'jsonl': defects: {kind}: 'keep' found; a model can be neither trained on such a query nor "
                "scored; choose drop"
            )
