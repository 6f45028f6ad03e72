"""What plug-ins build. Nothing here is subclassed: an object that has the methods is enough."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from torch import Tensor

from vmrbench.types import Annotation, AxisMoments, Batch, DistillTargets, FinerClips, Sample, TrimDecision


@runtime_checkable
class Backbone(Protocol):
    """A moment retrieval model; also a `torch.nn.Module`. It never learns how clips were chosen."""

    def forward(self, batch: Batch) -> Any:
        """The inference path and nothing else; reads no labels. Returns the backbone's private outputs."""

    def loss(self, outputs: Any, batch: Batch) -> Mapping[str, Tensor]:
        """Weighted terms, to be summed; training-only passes live here."""

    def predict(self, outputs: Any, batch: Batch) -> AxisMoments:
        """Ranked or unranked moments on the clip axis."""


@runtime_checkable
class SharesEncoder(Protocol):
    """A backbone whose cross-modal encoder can be borrowed by a selector (capability `encode`)."""

    def encode_query(self, batch: Batch) -> Any:
        """What `encode` reads of the query; a selector asks for it once and encodes its clips many times.

        May read nothing of the video: `batch.clips` is empty, [B, L, 0].
        """

    def encode(self, batch: Batch, query: Any) -> Tensor:
        """[B, L, d] fused per-clip embedding of the video and a `query` of `encode_query`; d is `embedding_width`."""

    @property
    def embedding_width(self) -> int:
        """Width d of what `encode` returns."""


@runtime_checkable
class Distillable(Protocol):
    """A backbone that offers targets to distillation (capability `distill`)."""

    def distill_targets(self, outputs: Any, batch: Batch) -> DistillTargets:
        """What of `outputs` a student can imitate."""


@runtime_checkable
class LearnsFromAnnotations(Protocol):
    """A backbone that learns in closed form (`learns="annotations"` in its spec); what it learns are buffers."""

    def fit_annotations(self, annotations: Sequence[Annotation]) -> None:
        """annotations: of the training split, at least one; no features are read.

        Raises:
            DataError: an annotation has no usable moment.
        """


class ClipAccess(Protocol):
    """What a trimmer may do with the expensive side of a batch."""

    def preview(self, keep: Tensor) -> Tensor | None:
        """[B, L, d] the backbone's own encoder on the video with only `keep` expensive; None where it shares none.

        keep: [B, L] 0/1, float or boolean, may carry a gradient. Fetches what it has not fetched before, and reads the
        query at the first call only.
        """

    def rows(self, keep: Tensor) -> Batch:
        """The batch a backbone reads when only `keep` [B, L] is expensive; fetches what it has not fetched before."""

    def fetch(self, keep: Tensor) -> Tensor:
        """[B, L, D] expensive features of the clips in `keep`, zero elsewhere. Every new clip is counted once."""

    def fetch_clip(self, place: int, keep: Tensor) -> Tensor:
        """[B, D] expensive features of the clip at `place` where `keep` [B] is 1, zero elsewhere; counted likewise."""


@runtime_checkable
class Trimmer(Protocol):
    """Decides which clips get expensive features; also a `torch.nn.Module`."""

    def select(self, batch: Batch, access: ClipAccess) -> TrimDecision:
        """Read query and index (`batch.clips` is empty, [B, L, 0]) and decide."""

    def loss(
        self, decision: TrimDecision, batch: Batch, *, student: DistillTargets | None, teacher: DistillTargets | None
    ) -> Mapping[str, Tensor]:
        """Weighted terms of the selection and of distillation; empty for a trimmer that learns nothing."""


@runtime_checkable
class Fitted(Protocol):
    """A trimmer that learns something in closed form, once, before the extra epochs; what it learns are buffers."""

    def fit(self, batches: Iterable[Batch]) -> None:
        """batches: of the training split, with labels, without expensive features; not read where nothing is fitted."""


@runtime_checkable
class Scheduled(Protocol):
    """A trimmer or a backbone whose training changes over time, such as an annealed temperature."""

    def set_progress(self, share: float) -> None:
        """Called before every epoch with the share of the training that is done, 0..1.

        A trimmer learns in the extra epochs, of which this is a share; a backbone's share is of the base epochs, and
        1 in extra ones.
        """


@runtime_checkable
class LearnsAlone(Protocol):
    """A trimmer that may be trained before the backbone is (`selector_epochs`)."""

    @property
    def learns_alone(self) -> bool:
        """Whether its own loss, given a teacher and no student, tells it which clips to keep."""


@runtime_checkable
class AdaptsBudget(Protocol):
    """A trimmer that can keep more clips for one query than for another.

    threshold: set from outside; at test `select` takes its budget from `vmrbench.trim.adaptive.allowance`, by this
    threshold or exactly where it is None, and gives the scores that it is compared with as `TrimDecision.demand`. In
    training the budget is exact.
    """

    threshold: float | None


@dataclass(frozen=True, kw_only=True)
class FeatureFacts:
    """Where the numbers of one feature group come from, for the record and for the cost.

    encoder: name of an `EncoderSpec`; width: feature width; passes_per_clip: encoder passes that one clip row costs.
    """

    encoder: str
    width: int
    passes_per_clip: float = 1.0


@dataclass(frozen=True, kw_only=True)
class DatasetFacts:
    """What the record and the report say of a data set.

    clips, text: the expensive and the query features; index: group name to facts, in channel order, empty where
    there is no index; clip_seconds: length of a clip row, of the first video's where it varies;
    fingerprint: hash of annotations and features; stamps: lines printed beside every number, such as SIMULATED
    FEATURES; notes: further facts, plain values.
    """

    clip_seconds: float
    clips: FeatureFacts
    text: FeatureFacts
    index: Mapping[str, FeatureFacts]
    fingerprint: str
    stamps: tuple[str, ...] = ()
    notes: Mapping[str, Any] = field(default_factory=dict)


class Split(Protocol):
    """One split of a data set; indexable, so that a `torch.utils.data.DataLoader` takes it."""

    def __len__(self) -> int: ...

    def __getitem__(self, position: int) -> Sample: ...

    @property
    def annotations(self) -> Sequence[Annotation]:
        """The annotations in the order of the samples, without reading features."""


@runtime_checkable
class OffersFiner(Protocol):
    """A split that has expensive features at a finer stride too, which windows are read at."""

    def finer(self, position: int, factor: int) -> FinerClips:
        """The clips of a sample cut into `factor` each, with features really computed at that stride.

        Raises:
            DataError: there are none at that stride.
        """


@runtime_checkable
class OffersOod(Protocol):
    """A data set that may have a second test split, `test_ood`, whose moments lie otherwise than those of `train`."""

    @property
    def has_ood(self) -> bool:
        """Whether it has that split; `test` is then the one like `train`."""


@runtime_checkable
class VmrDataset(Protocol):
    """A data set with its splits `train`, `val`, `test`."""

    @property
    def facts(self) -> DatasetFacts: ...

    def split(self, name: str) -> Split:
        """Raises DataError for a split that is not there or is empty."""
