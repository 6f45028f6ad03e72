"""Tests of `each`: one entry of a list for every value of an option."""

from __future__ import annotations

import pytest

from vmrbench.catalog import load_catalog
from vmrbench.config import load_config
from vmrbench.errors import ConfigError

SWEEP = """
datasets: [{name: simulated, options: {videos_train: 4, videos_val: 2, videos_test: 2}}]
backbones: [{name: moment_detr, preset: small}]
trimmers:
  - name: all
  - id: even
    name: uniform
    each: {keep_ratio: [0.5, 0.25]}
  - {id: last, name: spotvmr, options: {steps: 2}, each: {keep_ratio: [0.1], mode: [faithful, exact]}}
"""


@pytest.fixture
def write(tmp_path):
    def write(text: str):
        path = tmp_path / "sweep.yaml"
        path.write_text(text)
        return path

    return write


def cells(config):
    return {cell.trimmer.id: cell.trimmer.options for cell in config.resolve(load_catalog(()))}


def test_every_combination_is_an_entry_with_its_values_in_its_id(write):
    found = cells(load_config(write(SWEEP)))

    assert list(found) == ["all", "even_0.5", "even_0.25", "last_0.1_faithful", "last_0.1_exact"]
    assert [found["even_0.5"].keep_ratio, found["even_0.25"].keep_ratio] == [0.5, 0.25]
    assert (found["last_0.1_exact"].mode, found["last_0.1_exact"].steps) == ("exact", 2)


def test_variants_can_be_chosen_and_overridden(write):
    config = load_config(write(SWEEP), ["trimmers.even.each.keep_ratio=[0.75]"], only=["trimmer=even_*"])

    assert {label: options.keep_ratio for label, options in cells(config).items()} == {"even_0.75": 0.75}


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("each: {keep_ratio: 0.5}", "trimmers[0].each.keep_ratio: found 0.5, expected a list of plain values"),
        ("each: {keep_ratio: []}", "trimmers[0].each.keep_ratio: found [], expected a list of plain values"),
        ("each: {keep_ratio: [[1]]}", "trimmers[0].each.keep_ratio: found [[1]], expected a list of plain values"),
        ("each: [0.5]", "trimmers[0].each: found [0.5], expected options with lists of values"),
        (
            "each: {keep_ratio: [0.5]}, options: {keep_ratio: 1}",
            "trimmers[0].each.keep_ratio: 'options' gives 'keep_ratio' too; leave one of them out",
        ),
    ],
)
def test_what_is_no_list_of_values_is_refused(write, entry, message):
    text = SWEEP[: SWEEP.index("trimmers:")] + f"trimmers:\n  - {{name: uniform, {entry}}}\n"

    with pytest.raises(ConfigError, match=r"sweep\.yaml:5: ") as caught:
        load_config(write(text))
    assert message in str(caught.value)


def test_a_wrong_value_is_shown_where_it_was_written(write):
    config = load_config(write(SWEEP.replace("[0.5, 0.25]", "[0.5, half]")))

    with pytest.raises(ConfigError, match=r"sweep\.yaml:8: .*keep_ratio: found .half") as caught:
        cells(config)
    assert "\n" not in str(caught.value)


def test_places_of_later_entries_move_with_them(write):
    config = load_config(write(SWEEP.replace("steps: 2", "stepps: 2")))

    with pytest.raises(ConfigError, match=r"sweep\.yaml:9: .*stepps"):
        cells(config)
