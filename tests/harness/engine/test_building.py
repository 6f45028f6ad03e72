"""Arms that cannot be built."""

from __future__ import annotations

import pytest
from torch import nn

from vmrbench.engine.build import build_arm
from vmrbench.errors import PluginError
from vmrbench.protocols import DatasetFacts, FeatureFacts
from vmrbench.specs import BackboneSpec
from vmrbench_plugins.fixed_trimmers import NoOptions, vmr_trimmers


def test_a_backbone_that_declares_an_encoder_and_lends_none_is_refused() -> None:
    features = FeatureFacts(encoder="c3d", width=4)
    facts = DatasetFacts(clip_seconds=1.0, clips=features, text=features, index={"Motion": features}, fingerprint="")
    old = BackboneSpec(
        name="old",
        summary="",
        source="",
        options=NoOptions,
        build=lambda options, dims: nn.Linear(dims.video, 2),
        capabilities=frozenset({"encode"}),
    )

    with pytest.raises(PluginError, match="backbone 'old': declares 'encode' but lacks encode_query"):
        build_arm(facts, (old, NoOptions()), (next(iter(vmr_trimmers())), NoOptions()), "concat_zero", 0)
