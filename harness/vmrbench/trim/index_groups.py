"""The groups of an index by name: which an arm reads, and in which channels they lie."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from vmrbench.errors import ConfigError, did_you_mean


def chosen_groups(groups: Mapping[str, int], names: Sequence[str] | None) -> dict[str, int]:
    """The named groups with their widths, in channel order; all of them where `names` is None.

    Args:
        groups: name of every group of a data set and its width, in channel order.
        names: what is chosen, in any order.

    Raises:
        ConfigError: nothing is named, or a name that the data set does not have.
    """
    if names is None:
        return dict(groups)
    for name in names:
        group_channels(groups, name)
    if not names:
        raise ConfigError(f"index_groups: [] found, at least one expected; {_known(groups)}")
    return {name: width for name, width in groups.items() if name in names}


def group_channels(groups: Mapping[str, int], name: str) -> slice:
    """The channels of a group.

    Raises:
        ConfigError: the data set has no group of that name.

    Example:
        >>> group_channels({"Appearance": 32, "Motion": 16}, "Motion")
        slice(32, 48, None)
    """
    start = 0
    for known, width in groups.items():
        if known == name:
            return slice(start, start + width)
        start += width
    raise ConfigError(f"no index group is named {name!r}{did_you_mean(name, groups)}; {_known(groups)}")


def _known(groups: Mapping[str, int]) -> str:
    listed = ", ".join(f"{name} ({width} numbers)" for name, width in groups.items())
    return f"the data set has {listed or 'no index'}"
