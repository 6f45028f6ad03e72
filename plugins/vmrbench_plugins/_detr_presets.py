"""What Moment-DETR and its relatives share in how they are set up and trained."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# Ours, for small features and few epochs on a CPU: fewer slots give each more to learn from, and sampling dropout masks
# of attention took half of a training step. Scaled rows of unit variance are about as long as the l2-normalised rows of
# the official loaders, which is what lets the two time channels be seen; the factor is fixed, because a norm taken
# after clips were masked out would tell which ones were.
SMALL: Mapping[str, Any] = {
    "hidden": 64,
    "heads": 4,
    "inner": 128,
    "slots": 5,
    "dropout": 0.0,
    "input_dropout": 0.0,
    "scale_rows": True,
    "margin": 1.0,
    "pairs": 16,
}
SMALL_TRAINING: Mapping[str, Any] = {"base_epochs": 16, "batch_size": 16, "learning_rate": 1.0e-3}

# As published for QVHighlights. A rate that would fall after epoch 400 of 200 is constant.
TRAINING: Mapping[str, Any] = {
    "base_epochs": 200,
    "batch_size": 32,
    "learning_rate": 1.0e-4,
    "weight_decay": 1.0e-4,
    "warmup_share": 0.0,
    "clip_norm": 0.1,
    "schedule": "constant",
}
