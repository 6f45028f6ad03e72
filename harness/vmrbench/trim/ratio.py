"""The keep ratio of a trimmer that is built already."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

from torch import nn

from vmrbench.errors import PluginError


def set_ratio(trimmer: nn.Module, ratio: float) -> None:
    """Give a trimmer another keep ratio.

    Raises:
        PluginError: the module has no `options` with a `keep_ratio`.
    """
    options: Any = getattr(trimmer, "options", None)
    if not hasattr(options, "keep_ratio"):
        raise PluginError(
            f"trimmer module {type(trimmer).__name__!r} has no attribute 'options' with a keep_ratio; several "
            "ratios in training need it: keep the options there and read the ratio from them in every select"
        )
    put_options(trimmer, replace(options, keep_ratio=ratio))


def put_options(trimmer: nn.Module, options: Any) -> None:
    """Give a trimmer other options than it was built with."""
    cast(Any, trimmer).options = options
