"""Counts on the meta device, which remember operators and shorten recurrent layers, against one that does neither."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from vmrbench.catalog import load_catalog
from vmrbench.config.options import make_options
from vmrbench.cost.known_calls import KnownCalls, call_key
from vmrbench.cost.macs import count_macs, countable
from vmrbench.cost.recurrent_macs import FewSteps
from vmrbench.data.even_batch import even_batch
from vmrbench.specs import BackboneSpec, Dims
from vmrbench.types import Batch

CATALOG = load_catalog()
SHAPES = [(9, 4), (30, 7), (33, 4)]
RECURRENT = [
    *(lambda two=two: nn.LSTM(6, 4, 2, batch_first=True, bidirectional=two) for two in (False, True)),
    *(lambda two=two: nn.GRU(6, 4, 2, batch_first=True, bidirectional=two) for two in (False, True)),
    lambda: nn.LSTM(6, 4, proj_size=3, batch_first=True),
    lambda: nn.LSTM(6, 4),
    lambda: nn.RNN(6, 4, batch_first=True),
    lambda: nn.RNN(6, 4, nonlinearity="relu"),
]


class Slow(TorchDispatchMode):
    """Runs every operator, and adds up what has a formula."""

    def __init__(self) -> None:
        super().__init__()
        self.flops, self.ran = 0, Counter[str]()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        formula = flop_registry.get(func.overloadpacket)
        self.flops += formula(*args, **(kwargs or {}), out_val=out) if formula else 0
        self.ran[str(func.overloadpacket).removeprefix("aten.")] += 1
        return out


def slow_count(call: Callable[[], object]) -> Slow:
    with countable(), torch.no_grad(), Slow() as slow:
        call()
    return slow


def meta_batch(spec: BackboneSpec, options: Any, clips: int, tokens: int) -> Batch:
    rows, words = torch.zeros(1, clips, 24), torch.zeros(1, tokens, 12)
    batch = even_batch(
        rows, torch.ones(1, clips, dtype=torch.bool), words, torch.ones(1, tokens, dtype=torch.bool), duration=[60.0]
    )
    extra = {} if spec.extra_inputs is None else spec.extra_inputs(options, 1, tokens)
    return replace(batch, extra=extra).to("meta")


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(name for name, offer in CATALOG.backbones.items() if offer.spec.reads_features))
def test_counts_of_every_backbone_are_those_of_the_slow_count(name: str) -> None:
    spec: BackboneSpec = CATALOG.pick("backbone", name).spec
    options = make_options(spec, "small", {}, name)
    model: Any = spec.build(options, Dims(video=24, text=12)).eval().requires_grad_(False).to("meta")
    known = KnownCalls()

    for shape in SHAPES:
        batch = meta_batch(spec, options, *shape)
        fast = count_macs(lambda: model.predict(model(batch), batch), known=known)  # noqa: B023
        slow = slow_count(lambda: model.predict(model(batch), batch))  # noqa: B023

        assert (fast.value * 2, dict(fast.uncounted)) == (
            slow.flops,
            {operator: slow.ran[operator] for operator in fast.uncounted},
        )


@pytest.mark.parametrize("steps", [1, 3, 4, 11])
@pytest.mark.parametrize("make", RECURRENT)
def test_a_shortened_recurrent_layer_gives_counts_and_shapes_of_the_whole_one(
    make: Callable[[], nn.Module], steps: int
) -> None:
    layer = make().to("meta")
    rows = torch.zeros(3, steps, 6, device="meta") if layer.batch_first else torch.zeros(steps, 3, 6, device="meta")
    made: list[Any] = []

    fast = count_macs(lambda: made.append(layer(rows)))
    slow = slow_count(lambda: made.append(layer(rows)))

    assert fast.value * 2 == slow.flops
    assert fast.uncounted.get("unsafe_split", 0) == slow.ran["unsafe_split"]
    assert shapes(made[0]) == shapes(made[1])


def test_a_recurrent_layer_that_is_counted_runs_few_steps() -> None:
    layer, rows = nn.LSTM(6, 4, batch_first=True).to("meta"), torch.zeros(1, 500, 6, device="meta")

    with Slow() as outside:
        count_macs(layer, rows)

    assert sum(outside.ran.values()) < 200


def test_a_recurrent_layer_runs_once_for_sequences_of_every_length(monkeypatch: pytest.MonkeyPatch) -> None:
    layer, known = nn.LSTM(6, 4, batch_first=True, bidirectional=True).to("meta"), KnownCalls()
    short, long = (torch.zeros(1, steps, 6, device="meta") for steps in (40, 70))
    alone = count_macs(layer, long)
    count_macs(layer, short, known=known)
    monkeypatch.setattr(FewSteps, "_few_and_more", None)

    assert count_macs(layer, long, known=known) == alone


def test_a_recurrent_layer_with_numbers_computes_them_while_it_is_counted() -> None:
    layer, rows, made = nn.GRU(6, 4, batch_first=True), torch.randn(2, 9, 6), []

    count_macs(lambda: made.append(layer(rows)[0]))

    torch.testing.assert_close(made[0], layer(rows)[0])


def test_what_is_known_of_shapes_serves_the_next_count() -> None:
    linear, known = nn.Linear(6, 4).to("meta"), KnownCalls()
    rows = torch.zeros(5, 6, device="meta")
    first = count_macs(linear, rows, known=known)

    with Slow() as outside:
        again = count_macs(linear, rows, known=known)

    assert again == first
    assert "addmm" not in outside.ran


def test_calls_of_other_shapes_strides_types_or_options_have_other_keys() -> None:
    rows, add = torch.zeros(3, 5, device="meta"), torch.ops.aten.add.Tensor
    calls: list[tuple[Any, tuple[Any, ...]]] = [
        (add, (rows, 1)),
        (add, (rows, 1.0)),
        (add, (rows, True)),
        (add, (rows[:2], 1)),
        (add, (torch.zeros(5, 3, device="meta").T, 1)),
        (add, (rows.double(), 1)),
        (add, (rows, rows)),
        (torch.ops.aten.mul.Tensor, (rows, 1)),
    ]

    keys = [call_key(func, args, {}) for func, args in calls]

    assert None not in keys
    assert len(set(keys)) == len(calls)
    assert call_key(add, (torch.ones(3, 5, device="meta"), 1), {}) == keys[0]


@pytest.mark.parametrize(
    ("operator", "args"),
    [
        ("view.default", (torch.zeros(4, 2, device="meta"), [8])),
        ("add_.Tensor", (torch.zeros(4, device="meta"), 1)),
        ("add.Tensor", (torch.zeros(4), 1)),
        ("add.Tensor", (torch.zeros(4, device="meta"), torch.tensor(1.0))),
    ],
    ids=["a view", "in place", "on the CPU", "mixed"],
)
def test_what_shares_memory_or_has_numbers_is_not_remembered(operator: str, args: tuple[Any, ...]) -> None:
    packet, overload = operator.split(".")
    func = getattr(getattr(torch.ops.aten, packet), overload)

    assert call_key(func, args, {}) is None


def test_remembered_results_have_the_shapes_of_real_ones() -> None:
    rows, known, made = torch.zeros(2, 7, 5, device="meta"), KnownCalls(), []

    def run() -> None:
        made.append((rows.transpose(0, 1).relu(), *rows.topk(2), *torch.split(rows * 2, 3, 1), rows.sum(1), rows > 0))

    for _ in range(2):
        count_macs(run, known=known)
    run()

    assert shapes(made[0]) == shapes(made[1]) == shapes(made[2])


def shapes(made: Any) -> list[Any]:
    if isinstance(made, Tensor):
        return [(made.shape, made.stride(), made.dtype, made.device)]
    return [entry for part in made for entry in shapes(part)]
