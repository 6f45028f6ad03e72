"""Weights that a sweep starts from: whether they fit the data and the arm, and loading them."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from vmrbench.config.cells import Cell
from vmrbench.engine.build import input_width
from vmrbench.engine.weights import load_weights
from vmrbench.errors import ConfigError
from vmrbench.specs import Dims


def load_given(backbone: nn.Module, cell: Cell) -> None:
    """Put the given weights of a cell into its backbone, where there are any."""
    if cell.backbone.weights is not None:
        load_weights(backbone, cell.backbone.weights.path)


def check_given(cells: Sequence[Cell]) -> None:
    """Whether all given weights fit the arms that start from them.

    Raises:
        ConfigError: an arm has rows or query tokens of another width, or the backbone other parameters.
    """
    for cell in {(c.dataset.id, c.backbone.id, c.trimmer.id): c for c in cells if c.backbone.weights}.values():
        _check(cell)


def _check(cell: Cell) -> None:
    given, facts, trimmer = cell.backbone.weights, cell.dataset.built.facts, cell.trimmer
    assert given is not None
    told, fill = given.provenance, trimmer.fill or "concat_zero"
    width = input_width(facts, (trimmer.offer.spec, trimmer.options), fill)
    who = f"{cell.id}: weights {given.path.name!r}"
    if told.video not in (None, width):
        widened = trimmer.fill == "concat_zero" and told.video == facts.clips.width
        hint = "; the fill 'concat_zero' widens rows by the index: use the trimmer 'none' or fill: adapter"
        raise ConfigError(f"{who} are for clips of width {told.video}, found {width}{hint if widened else ''}")
    if told.text not in (None, facts.text.width):
        raise ConfigError(f"{who} are for query tokens of width {told.text}, found {facts.text.width}")
    model = cell.backbone.offer.spec.build(cell.backbone.options, Dims(video=width, text=facts.text.width))
    expected = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    found = given.shapes()
    odd = next((name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name)), None)
    if odd is not None:
        raise ConfigError(
            f"{who} do not fit the options: {odd} is {_shape(found.get(odd))}, expected {_shape(expected.get(odd))}; "
            "leave 'options' out to take those of the file"
        )


def _shape(shape: tuple[int, ...] | None) -> str:
    return "absent" if shape is None else str(list(shape))
