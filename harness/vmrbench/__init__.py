"""vmrbench: video moment retrieval backbones with and without query-aware clip trimming, accuracy beside cost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vmrbench.hookspecs import hookimpl

if TYPE_CHECKING:
    from vmrbench.models import build_backbone, load_official

__version__ = "0.1.0"
__all__ = ["__version__", "build_backbone", "hookimpl", "load_official"]


def __getattr__(name: str) -> Any:
    # Late, so that a plug-in that imports `hookimpl` does not import torch and the catalog with it.
    if name in ("build_backbone", "load_official"):
        from vmrbench import models

        return getattr(models, name)
    raise AttributeError(f"module 'vmrbench' has no attribute {name!r}")
