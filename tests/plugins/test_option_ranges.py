"""No plug-in takes a number that cannot be meant: a share written in percent would keep every clip without a word."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from vmrbench.catalog import load_catalog
from vmrbench.config.options import make_options
from vmrbench.errors import ConfigError

CATALOG = load_catalog(())
KINDS = ("dataset", "backbone", "trimmer", "launcher", "probe")
SPECS = {f"{kind}-{name}": offer.spec for kind in KINDS for name, offer in CATALOG.offers(kind).items()}


def numbers(options: type) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every numeric option, nested ones too, with a value below any range."""
    hints = typing.get_type_hints(options)
    for item in dataclasses.fields(options):
        parts = typing.get_args(hints[item.name]) or (hints[item.name],)
        if int in parts or float in parts:
            yield item.name, {item.name: -1}
        for part in parts:
            if dataclasses.is_dataclass(part):
                for name, value in numbers(part):
                    yield f"{item.name}.{name}", {item.name: value}


CASES = [(label, name, value) for label, spec in SPECS.items() for name, value in numbers(spec.options)]


def test_there_are_numbers_to_test():
    assert len(CASES) > 150


@pytest.mark.parametrize(("label", "name", "value"), CASES, ids=[f"{label}-{name}" for label, name, _ in CASES])
def test_a_number_below_its_range_is_refused(label, name, value):
    with pytest.raises(ConfigError, match=name.rpartition(".")[2]):
        make_options(SPECS[label], None, value, "here")


@pytest.mark.parametrize("label", [label for label, spec in SPECS.items() if hasattr(spec.options, "keep_ratio")])
def test_a_keep_ratio_in_percent_is_refused(label):
    with pytest.raises(ConfigError, match="keep_ratio: found 25, expected less than or equal to 1"):
        make_options(SPECS[label], None, {"keep_ratio": 25}, "here")


@pytest.mark.parametrize("label", [label for label, spec in SPECS.items() if getattr(spec, "presets", None)])
def test_every_preset_is_in_range(label):
    for preset in SPECS[label].presets:
        make_options(SPECS[label], preset, {}, "here")
