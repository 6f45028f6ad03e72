"""Index groups by name."""

from __future__ import annotations

import pytest

from vmrbench.errors import ConfigError
from vmrbench.trim.index_groups import chosen_groups, group_channels

GROUPS = {"Background": 2, "Appearance": 3, "Motion": 4}


def test_groups_stay_in_channel_order_whatever_the_order_of_their_names() -> None:
    assert list(chosen_groups(GROUPS, ["Motion", "Background"]).items()) == [("Background", 2), ("Motion", 4)]
    assert chosen_groups(GROUPS, None) == GROUPS


def test_channels_follow_the_widths_of_the_groups_before() -> None:
    assert [group_channels(GROUPS, name) for name in GROUPS] == [slice(0, 2), slice(2, 5), slice(5, 9)]


@pytest.mark.parametrize(("names", "told"), [(["motion"], "did you mean 'Motion'"), ([], "at least one expected")])
def test_a_choice_that_fits_nothing_is_told_with_what_is_known(names: list[str], told: str) -> None:
    with pytest.raises(ConfigError, match=told) as error:
        chosen_groups(GROUPS, names)

    assert "Background (2 numbers), Appearance (3 numbers), Motion (4 numbers)" in str(error.value)
