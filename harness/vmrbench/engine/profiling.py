"""Size and speed of backbones on made-up input: parameters, multiply-adds, and latency side by side."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from typing import Any, cast

import torch
from torch import Tensor, nn

from vmrbench.catalog import Catalog
from vmrbench.config.options import make_options
from vmrbench.cost.latency import RepeatedRuns, measure_repeated
from vmrbench.cost.macs import Macs, count_macs
from vmrbench.data.even_batch import even_batch
from vmrbench.errors import DataError
from vmrbench.protocols import Backbone
from vmrbench.specs import BackboneSpec, Dims
from vmrbench.types import AxisMoments, Batch

CLIP_SECONDS = 2.0


@dataclass(frozen=True, kw_only=True)
class InputShape:
    """What every query of a batch looks like; nothing is padded.

    clips: rows of the video; width: of a row; tokens: of the query; text_width: of a token.
    """

    clips: int
    width: int
    tokens: int
    text_width: int

    def __str__(self) -> str:
        return f"{self.clips} clips x {self.width}, {self.tokens} tokens x {self.text_width}"


@dataclass(frozen=True, kw_only=True)
class Subject:
    """What is profiled: a backbone by name, a preset (None for its defaults), options over those, and its input."""

    backbone: str
    shape: InputShape
    preset: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        preset = "" if self.preset is None else f", preset {self.preset!r}"
        return f"backbone {self.backbone!r}{preset}"


@dataclass(frozen=True, kw_only=True)
class Profile:
    """Size and speed of one subject, from features to moments on the clip axis.

    parameters: how many numbers are learned; macs: of one query, inference only; latency: by batch size, empty where
    nothing was timed.
    """

    subject: Subject
    parameters: int
    macs: Macs
    latency: Mapping[int, RepeatedRuns]


def profile_backbones(
    catalog: Catalog,
    subjects: Sequence[Subject],
    *,
    batch_sizes: Sequence[int] = (1,),
    runs: int = 20,
    warmup: int = 3,
    device: torch.device,
) -> list[Profile]:
    """Count every subject, then time all of them, taking turns at each batch size.

    Weights are fresh: neither size nor speed depends on them.

    Args:
        catalog: offers the backbones.
        subjects: what is profiled; the same one may come twice, which shows the noise.
        batch_sizes: queries at once.
        runs: calls that are timed of each subject at each batch size; 0 to time nothing.
        warmup: calls of each before the clock starts.
        device: where it is timed.

    Raises:
        ConfigError: no such backbone, preset or option.
        DataError: a backbone refuses that input.
    """
    built = [_Built(catalog, subject) for subject in subjects]
    counted = [one.count() for one in built]
    latency: list[dict[int, RepeatedRuns]] = [{} for _ in built]
    for size in dict.fromkeys(batch_sizes if runs and built else ()):
        calls = {str(place): one.call_on(size, device) for place, one in enumerate(built)}
        for place, taken in measure_repeated(calls, runs, warmup, device).items():
            latency[int(place)][size] = taken
    return [
        Profile(subject=one.subject, parameters=one.parameters, macs=macs, latency=times)
        for one, macs, times in zip(built, counted, latency, strict=True)
    ]


class _Built:
    """A subject with its model."""

    def __init__(self, catalog: Catalog, subject: Subject) -> None:
        self.subject = subject
        self.spec: BackboneSpec = catalog.pick("backbone", subject.backbone).spec
        self._options = make_options(self.spec, subject.preset, subject.options, f"backbone {subject.backbone!r}")
        dims = Dims(video=subject.shape.width, text=subject.shape.text_width)
        self._model = self.spec.build(self._options, dims).eval().requires_grad_(False)

    @property
    def parameters(self) -> int:
        return sum(parameter.numel() for parameter in self._model.parameters())

    def count(self) -> Macs:
        """Multiply-adds of one query, on the meta device where the backbone does not ask for an exception."""
        model, batch = self._model, self._batch(1)
        if not self.spec.device_exceptions:
            model, batch = deepcopy(model).to("meta"), batch.to("meta")
        try:
            return count_macs(_moments, model, batch)
        except DataError as error:
            raise DataError(f"{self.subject} on {self.subject.shape}: {error}") from error

    def call_on(self, size: int, device: torch.device) -> Callable[[], AxisMoments]:
        """A call that predicts a batch of `size` queries."""
        model, batch = self._model.to(device), self._batch(size).to(device)

        def run() -> AxisMoments:
            with torch.inference_mode():
                return _moments(model, batch)

        return run

    def _batch(self, size: int) -> Batch:
        shape, generator = self.subject.shape, torch.Generator().manual_seed(0)

        def rows(count: int, width: int) -> tuple[Tensor, Tensor]:
            drawn = torch.randn(size, count, width, generator=generator)
            return drawn, torch.ones(size, count, dtype=torch.bool)

        clips, query = rows(shape.clips, shape.width), rows(shape.tokens, shape.text_width)
        batch = even_batch(*clips, *query, duration=[shape.clips * CLIP_SECONDS] * size)
        extra = self.spec.extra_inputs
        return batch if extra is None else replace(batch, extra=extra(self._options, size, shape.tokens))


def _moments(model: nn.Module, batch: Batch) -> AxisMoments:
    """What a user pays for: decoded moments."""
    return cast(Backbone, model).predict(model(batch), batch)
