from __future__ import annotations

from vmrbench.parts.key_map import rename_keys

RULES = rename_keys([(r"a[.](\d+)[.]w", r"b.\1.weight"), (r"a[.].*", r"rest")])


def test_the_first_rule_that_fits_applies() -> None:
    assert RULES("a.12.w") == "b.12.weight"
    assert RULES("a.x") == "rest"


def test_a_rule_must_fit_the_whole_key() -> None:
    assert RULES("xa.12.w") is None
