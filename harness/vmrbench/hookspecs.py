"""The hooks. They take no arguments and return specs; events tell what happens and return nothing or facts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import pluggy

if TYPE_CHECKING:
    from vmrbench.specs import (
        BackboneSpec,
        DatasetSpec,
        EncoderSpec,
        LauncherSpec,
        MetricSpec,
        ProbeSpec,
        ReporterSpec,
        TrimmerSpec,
    )

PROJECT = "vmrbench"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def vmr_backbones() -> Iterable[BackboneSpec]:  # type: ignore[empty-body]  # a hook has no body
    """Offer backbones."""


@hookspec
def vmr_trimmers() -> Iterable[TrimmerSpec]:  # type: ignore[empty-body]  # a hook has no body
    """Offer trimmers."""


@hookspec
def vmr_datasets() -> Iterable[DatasetSpec]:  # type: ignore[empty-body]  # a hook has no body
    """Offer data sets."""


@hookspec
def vmr_encoders() -> Iterable[EncoderSpec]:  # type: ignore[empty-body]  # a hook has no body
    """Offer encoders."""


@hookspec
def vmr_metrics() -> Iterable[MetricSpec]:  # type: ignore[empty-body]  # a hook has no body
    """Offer metrics."""


@hookspec
def vmr_probes() -> Iterable[ProbeSpec]:  # type: ignore[empty-body]  # a hook has no body
    """Offer probes."""


@hookspec
def vmr_reporters() -> Iterable[ReporterSpec]:  # type: ignore[empty-body]  # a hook has no body
    """Offer reporters."""


@hookspec
def vmr_launchers() -> Iterable[LauncherSpec]:  # type: ignore[empty-body]  # a hook has no body
    """Offer launchers."""


@hookspec
def vmr_describe_machine() -> Mapping[str, Any]:  # type: ignore[empty-body]  # a hook has no body
    """Add facts about this machine to every record."""


@hookspec
def vmr_run_starting(cell: Mapping[str, Any]) -> None:
    """A cell is about to run."""


@hookspec
def vmr_run_finished(record: Mapping[str, Any]) -> None:
    """A cell has its record."""
