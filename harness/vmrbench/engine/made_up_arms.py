"""Arms with fresh weights on made-up queries: what they cost depends on neither weights nor features."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from vmrbench.catalog import Catalog
from vmrbench.config.options import make_options
from vmrbench.data.even_batch import even_batch
from vmrbench.engine.arm import Arm
from vmrbench.engine.build import build_arm
from vmrbench.protocols import DatasetFacts
from vmrbench.specs import BackboneSpec, TrimmerSpec
from vmrbench.types import Batch

FILL = "concat_zero"


@dataclass(frozen=True, kw_only=True)
class Part:
    """A plug-in by name, a preset of it (None for its defaults), and options over those."""

    name: str
    preset: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class MadeUpArm:
    """A backbone and a trimmer on features of some widths; rows of clips that are not kept hold the index alone."""

    backbone: Part
    trimmer: Part
    facts: DatasetFacts

    def build(self, catalog: Catalog) -> Arm:
        """The arm, in evaluation mode, frozen.

        Raises:
            ConfigError: no such backbone, trimmer, preset or option.
        """
        backbone: BackboneSpec = catalog.pick("backbone", self.backbone.name).spec
        trimmer: TrimmerSpec = catalog.pick("trimmer", self.trimmer.name).spec
        parts = (backbone, _options(backbone, self.backbone)), (trimmer, _options(trimmer, self.trimmer))
        return build_arm(self.facts, *parts, FILL, 0).eval().requires_grad_(False)

    def query(self, catalog: Catalog, clips: int, tokens: int) -> Batch:
        """One query of so many tokens on a video of so many clips, with an index; random, the same every time."""
        spec: BackboneSpec = catalog.pick("backbone", self.backbone.name).spec
        generator = torch.Generator().manual_seed(0)
        widths = sum(group.width for group in self.facts.index.values())
        rows = torch.randn(1, clips, self.facts.clips.width, generator=generator)
        words = torch.randn(1, tokens, self.facts.text.width, generator=generator)
        real = torch.ones(1, clips, dtype=torch.bool), torch.ones(1, tokens, dtype=torch.bool)
        batch = even_batch(rows, real[0], words, real[1], duration=[clips * self.facts.clip_seconds])
        extra = spec.extra_inputs
        return replace(
            batch,
            index=torch.randn(1, clips, widths, generator=generator),
            extra={} if extra is None else extra(_options(spec, self.backbone), 1, tokens),
        )


def _options(spec: BackboneSpec | TrimmerSpec, part: Part) -> Any:
    return make_options(spec, part.preset, part.options, f"{part.name!r}")
