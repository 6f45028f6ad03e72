"""Each check refuses a module that breaks its rule, and says so in one line."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from vmrbench.errors import PluginError
from vmrbench.specs import BackboneSpec, Dims
from vmrbench.testing.conformance import check_backbone
from vmrbench.types import Annotation, AxisMoments, Batch


@dataclass(frozen=True, kw_only=True)
class NoOptions:
    """No options."""


class Honest(nn.Module):
    """Scores the mean of a video's clips for its halves."""

    def __init__(self, options: NoOptions, dims: Dims) -> None:
        super().__init__()
        self.score = nn.Linear(dims.video + dims.text, 2)

    def forward(self, batch: Batch) -> Tensor:
        clips = (batch.clips * batch.clip_mask[..., None]).sum(1) / batch.lengths[:, None]
        words = (batch.query * batch.query_mask[..., None]).sum(1)
        scores: Tensor = self.score(torch.cat([clips, words], dim=-1))
        return scores

    def loss(self, outputs: Tensor, batch: Batch) -> Mapping[str, Tensor]:
        return {"any": outputs.square().mean()}

    def predict(self, outputs: Tensor, batch: Batch) -> AxisMoments:
        halves = torch.tensor([[0.0, 0.5], [0.5, 1.0]], device=outputs.device)
        return AxisMoments(spans=halves * batch.lengths[:, None, None], scores=outputs)


class ReadsPadding(Honest):
    """Means over all rows."""

    def forward(self, batch: Batch) -> Tensor:
        scores: Tensor = self.score(torch.cat([batch.clips.mean(1), batch.query.mean(1)], dim=-1))
        return scores


class ReadsNeighbours(Honest):
    """Subtracts the mean of the batch."""

    def forward(self, batch: Batch) -> Tensor:
        scores = super().forward(batch)
        return scores - scores.mean(0)


class ReadsLabels(Honest):
    """Looks whether there are labels."""

    def forward(self, batch: Batch) -> Tensor:
        return super().forward(batch) + (0.0 if batch.moments is None else 1.0)


class RollsDice(Honest):
    """Adds noise."""

    def forward(self, batch: Batch) -> Tensor:
        scores = super().forward(batch)
        return scores + torch.rand_like(scores)


class LeavesItsDevice(Honest):
    """Looks at a value on the host."""

    def forward(self, batch: Batch) -> Tensor:
        return super().forward(batch) * (1.0 if batch.clips.sum().item() else 0.5)


class LeavesTheVideo(Honest):
    """Predicts twice the video."""

    def predict(self, outputs: Tensor, batch: Batch) -> AxisMoments:
        moments = super().predict(outputs, batch)
        return replace(moments, spans=2 * moments.spans)


class ForgetsAParameter(Honest):
    """Has a weight that no loss reaches."""

    def __init__(self, options: NoOptions, dims: Dims) -> None:
        super().__init__(options, dims)
        self.idle = nn.Parameter(torch.zeros(1))


class LosesItselfWithoutMoments(Honest):
    """Averages over moments."""

    def loss(self, outputs: Tensor, batch: Batch) -> Mapping[str, Tensor]:
        assert batch.moments is not None
        return {"any": outputs.mean() + torch.cat(batch.moments).mean()}


class HidesWeights(Honest):
    """Keeps a weight out of its state."""

    def __init__(self, options: NoOptions, dims: Dims) -> None:
        super().__init__(options, dims)
        self.register_buffer("shift", torch.rand(2), persistent=False)

    def forward(self, batch: Batch) -> Tensor:
        return super().forward(batch) + self.get_buffer("shift")


class LendsAnEncoder(Honest):
    """Clips, times the sum of the words."""

    embedding_width = 2

    def encode_query(self, batch: Batch) -> Tensor:
        return (batch.query * batch.query_mask[..., None]).sum((1, 2))

    def encode(self, batch: Batch, query: Tensor) -> Tensor:
        return batch.clips[..., :2] * query[:, None, None]


class ReadsClipsAsQuery(LendsAnEncoder):
    """What it says of the query depends on the video."""

    def encode_query(self, batch: Batch) -> Tensor:
        return super().encode_query(batch) + batch.clips[:, 0, 0]


class LendsAnotherWidth(LendsAnEncoder):
    """Says another width than it gives."""

    embedding_width = 3


class LendsWithoutQuery(Honest):
    """Has the method of old that reads a query for every pass."""

    embedding_width = 2

    def encode(self, batch: Batch) -> Tensor:
        return batch.clips[..., :2]


def _spec(build: Callable[[Any, Dims], nn.Module]) -> BackboneSpec:
    return BackboneSpec(name="toy", summary="", source="", options=NoOptions, build=build)


def test_an_honest_backbone_passes() -> None:
    check_backbone(_spec(Honest), Dims(video=4, text=3))


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (ReadsPadding, "with padding"),
        (ReadsNeighbours, "with its neighbours"),
        (ReadsLabels, "without labels"),
        (RollsDice, "without labels|two runs"),
        (LeavesItsDevice, "looks at values on the host"),
        (LeavesTheVideo, "off the clip axis"),
        (ForgetsAParameter, "no gradient reaches 'idle'"),
        (LosesItselfWithoutMoments, "not finite numbers"),
        (HidesWeights, "written and read again"),
    ],
)
def test_a_backbone_that_breaks_a_rule_is_refused(build: type[nn.Module], message: str) -> None:
    with pytest.raises(PluginError, match=message) as caught:
        check_backbone(_spec(build), Dims(video=4, text=3))

    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("training", "message"),
    [
        ({"smal": {"base_epochs": 3}}, "training settings of 'smal'; did you mean 'small'"),
        ({"small": {"lr": 1e-4}}, r"training\['small'\]\.lr: unknown option"),
        ({"small": {"schedule": "stairs"}}, r"schedule: found .stairs., expected one of cosine"),
    ],
)
def test_training_settings_that_no_engine_reads_are_refused(training: Mapping[str, Any], message: str) -> None:
    with pytest.raises(PluginError, match=message):
        check_backbone(replace(_spec(Honest), presets={"small": {}}, training=training), Dims(video=4, text=3))


def test_an_honest_lender_passes() -> None:
    check_backbone(replace(_spec(LendsAnEncoder), capabilities=frozenset({"encode"})), Dims(video=4, text=3))


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (Honest, "lacks encode_query, encode or embedding_width"),
        (LendsWithoutQuery, "lacks encode_query, encode or embedding_width"),
        (LendsAnotherWidth, r"encode gave \(3, 11, 2\)|expected \[B, L, embedding_width\]"),
        (ReadsClipsAsQuery, "encode_query must read nothing of the video"),
    ],
)
def test_an_encoder_that_cannot_be_borrowed_is_refused(build: type[nn.Module], message: str) -> None:
    with pytest.raises(PluginError, match=message):
        check_backbone(replace(_spec(build), capabilities=frozenset({"encode"})), Dims(video=4, text=3))


def test_a_declared_exception_is_granted() -> None:
    check_backbone(_spec(ForgetsAParameter), Dims(video=4, text=3), without_gradient=("idle",))


def test_a_declared_device_exception_is_granted() -> None:
    check_backbone(replace(_spec(LeavesItsDevice), device_exceptions=("reads a value",)), Dims(video=4, text=3))


class Blind(nn.Module):
    """Answers with the share of the video at which moments start on average."""

    def __init__(self, options: NoOptions, dims: Dims) -> None:
        super().__init__()
        self.register_buffer("start", torch.zeros(1))

    def fit_annotations(self, annotations: Sequence[Annotation]) -> None:
        self.start = torch.tensor([sum(a.moments[0][0] / a.duration for a in annotations) / len(annotations)])

    def forward(self, batch: Batch) -> Tensor:
        return self.start.expand(len(batch.duration)) * batch.lengths

    def loss(self, outputs: Tensor, batch: Batch) -> Mapping[str, Tensor]:
        return {}

    def predict(self, outputs: Tensor, batch: Batch) -> AxisMoments:
        spans = torch.stack([outputs, batch.lengths.to(outputs)], dim=-1)[:, None]
        return AxisMoments(spans=spans, scores=torch.ones_like(spans[..., 0]))


class NeverLearns(Blind):
    """Looks at no annotation."""

    def fit_annotations(self, annotations: Sequence[Annotation]) -> None:
        pass


class GrowsWithAnnotations(Blind):
    """Keeps one number a query."""

    def fit_annotations(self, annotations: Sequence[Annotation]) -> None:
        self.start = torch.zeros(len(annotations))

    def forward(self, batch: Batch) -> Tensor:
        return self.start[:1].expand(len(batch.duration)) * batch.lengths


class PeeksAtTheVideo(Blind):
    """Adds what it should not see."""

    def forward(self, batch: Batch) -> Tensor:
        return super().forward(batch) * batch.clips[:, 0, 0].sigmoid()


class CountsWords(Blind):
    """Reads the query by its length."""

    def forward(self, batch: Batch) -> Tensor:
        return super().forward(batch) / batch.query_mask.sum(1)


class AsksForAGradient(Blind):
    """Has a parameter that no epoch teaches."""

    def __init__(self, options: NoOptions, dims: Dims) -> None:
        super().__init__(options, dims)
        self.idle = nn.Parameter(torch.zeros(1))


class HasALoss(Blind):
    """Gives a term that nothing follows."""

    def loss(self, outputs: Tensor, batch: Batch) -> Mapping[str, Tensor]:
        return {"any": outputs.mean()}


def _blind(build: Callable[[Any, Dims], nn.Module]) -> BackboneSpec:
    return replace(_spec(build), learns="annotations", reads_features=False)


def test_an_honest_floor_passes() -> None:
    check_backbone(_blind(Blind), Dims(video=4, text=3))


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (Honest, "lacks fit_annotations"),
        (NeverLearns, "left the state as it was"),
        (GrowsWithAnnotations, "changed the shapes of its state"),
        (PeeksAtTheVideo, "without features"),
        (CountsWords, "without features"),
        (AsksForAGradient, r"\['idle'\] ask for a gradient"),
        (HasALoss, r"gives the loss terms \['any'\]"),
    ],
)
def test_a_floor_that_breaks_a_rule_is_refused(build: type[nn.Module], message: str) -> None:
    with pytest.raises(PluginError, match=message) as caught:
        check_backbone(_blind(build), Dims(video=4, text=3))

    assert "\n" not in str(caught.value)
