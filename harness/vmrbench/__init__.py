"""vmrbench: video moment retrieval backbones with and without query-aware clip trimming, accuracy beside cost."""

from __future__ import annotations

from vmrbench.hookspecs import hookimpl

__version__ = "0.1.0"
__all__ = ["__version__", "hookimpl"]
