"""What a user can get wrong. One line on stderr, exit code 2, no traceback; everything else keeps its traceback."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """A mistake the user can mend: the message says where, what was found, what was expected, what to do."""


class ConfigError(UserError):
    """A mistake in a configuration file or on the command line."""


class PluginError(UserError):
    """A plug-in that cannot be imported, offers something invalid, or raised while it was asked."""


class DataError(UserError):
    """Annotations, features or predictions that cannot be used as they are."""


class DeviceError(UserError):
    """A device or precision that this machine does not offer."""


def did_you_mean(found: str, known: Iterable[str]) -> str:
    """A suffix such as `; did you mean 'qd_detr'?`, or the list of known names when none is near.

    Example:
        >>> did_you_mean("qd-detr", ["qd_detr", "2d_tan"])
        "; did you mean 'qd_detr'?"
    """
    names = sorted(known)
    near = difflib.get_close_matches(found, names, 1)
    return f"; did you mean {near[0]!r}?" if near else f"; known: {', '.join(names) or 'none'}"
