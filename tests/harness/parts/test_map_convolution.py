from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from vmrbench.cost.macs import count_macs
from vmrbench.parts.map_convolution import MapConvolution
from vmrbench.parts.proposal_map import sparse_cells

# Grid, scales, layers, kernel.
MAPS = [
    (16, (4, 3, 1), 1, 3),
    (16, (4, 3, 1), 2, 3),
    (16, (4, 3, 1), 3, 5),
    (16, (16,), 4, 5),
    (8, (2, 3), 5, 3),
    (32, (8, 4, 4), 2, 9),
]
WIDTH = 3


@pytest.mark.parametrize(("grid", "scales", "layers", "kernel"), MAPS)
def test_live_cells_equal_those_of_whole_convolved_maps(
    grid: int, scales: tuple[int, ...], layers: int, kernel: int
) -> None:
    convolution, cells = _convolution_and_cells(grid, scales, layers, kernel)

    torch.testing.assert_close(convolution(cells), _whole(convolution, cells, grid, scales))


@pytest.mark.parametrize(("grid", "scales", "layers", "kernel"), MAPS)
def test_gradients_equal_those_of_whole_convolved_maps(
    grid: int, scales: tuple[int, ...], layers: int, kernel: int
) -> None:
    convolution, cells = _convolution_and_cells(grid, scales, layers, kernel)
    cells.requires_grad_()
    wanted = [cells, *convolution.parameters()]
    weights = torch.randn_like(cells)

    ours = torch.autograd.grad((convolution(cells) * weights).sum(), wanted)

    whole = torch.autograd.grad((_whole(convolution, cells, grid, scales) * weights).sum(), wanted)
    for found, expected in zip(ours, whole, strict=True):
        torch.testing.assert_close(found, expected)


@pytest.mark.parametrize(("grid", "scales", "layers", "kernel"), MAPS)
def test_a_part_is_that_of_the_whole_map_with_its_gradients(
    grid: int, scales: tuple[int, ...], layers: int, kernel: int
) -> None:
    chosen = [first % 3 == 0 and last < first + 2 for first, last in sparse_cells(grid, scales)]
    convolution, cells = _convolution_and_cells(grid, scales, layers, kernel, part=chosen)
    cells.requires_grad_()
    wanted = [cells, *convolution.parameters()]

    part, whole = convolution.of_part(cells), _whole(convolution, cells, grid, scales)[..., torch.tensor(chosen)]

    torch.testing.assert_close(part, whole)
    weights = torch.randn_like(part)
    gradients = [torch.autograd.grad((found * weights).sum(), wanted) for found in (part, whole)]
    for found, expected in zip(*gradients, strict=True):
        torch.testing.assert_close(found, expected)


def test_a_part_multiplies_only_the_pairs_that_reach_it() -> None:
    # Live cells are (0, 0) to (3, 3), wanted is (0, 0). The first layer makes the nine cells around it: (1, 1) sums
    # three live ones, (0, 0), (0, 1) and (1, 0) sum two, the other five one. The second sums these nine.
    convolution = MapConvolution(sparse_cells(4, (1,)), 5, 2, 3, part=[True, False, False, False])

    assert count_macs(convolution.of_part, torch.zeros(1, 5, 4)).value == (3 + 3 * 2 + 5 * 1 + 9) * 5 * 5


def test_gradients_do_not_change_what_is_computed() -> None:
    convolution, cells = _convolution_and_cells(16, (4, 3, 1), 2, 3)

    with torch.no_grad():
        without = convolution(cells)

    assert torch.equal(convolution(cells), without)


def test_convolution_divides_by_the_live_cells_it_sums() -> None:
    convolution = MapConvolution(sparse_cells(4, (4,)), 1, 2, 3)
    for parameter in convolution.parameters():
        parameter.data.fill_(1.0 if parameter.dim() > 1 else 0.0)

    averaged = convolution(torch.ones(1, 1, 10))

    torch.testing.assert_close(averaged, torch.ones(1, 1, 10))


def test_only_pairs_of_live_cells_are_multiplied() -> None:
    # Cells (0, 0), (1, 1), (2, 2): each has itself, the middle one two neighbours, the others one.
    convolution = MapConvolution(sparse_cells(3, (1,)), 5, 1, 3)

    assert count_macs(convolution, torch.zeros(4, 5, 3)).value == 4 * 7 * 5 * 5


@pytest.mark.parametrize(
    ("grid", "scales", "layers", "kernel", "share"),
    [(64, (16, 8, 8), 4, 9, 0.365), (16, (16,), 8, 5, 0.390), (128, (16, 8, 8, 8), 8, 5, 0.400)],
)
def test_published_maps_need_at_most_two_fifths_of_the_whole(
    grid: int, scales: tuple[int, ...], layers: int, kernel: int, share: float
) -> None:
    with torch.device("meta"):
        convolution = MapConvolution(sparse_cells(grid, scales), 2, layers, kernel)
    border = kernel // 2 * layers
    whole = sum((grid + 2 * border - 2 * (kernel // 2) * done) ** 2 for done in range(1, layers + 1)) * kernel**2 * 4

    counted = count_macs(convolution, torch.zeros(1, 2, len(sparse_cells(grid, scales)), device="meta")).value

    assert counted / whole == pytest.approx(share, abs=5e-4)


def test_weights_keep_the_names_of_plain_convolutions() -> None:
    keys = {
        key: tuple(value.shape) for key, value in MapConvolution(sparse_cells(8, (8,)), 2, 1, 5).state_dict().items()
    }

    assert keys == {"convs.0.weight": (2, 2, 5, 5), "convs.0.bias": (2,)}


@pytest.mark.parametrize("gradients", [True, False])
def test_lower_precision_is_summed_in_full(gradients: bool) -> None:
    convolution, cells = _convolution_and_cells(16, (4, 3, 1), 2, 3)

    with torch.set_grad_enabled(gradients), torch.autocast("cpu", dtype=torch.bfloat16):
        lower = convolution(cells)

    assert lower.dtype == torch.float32
    torch.testing.assert_close(lower, convolution(cells), rtol=0.02, atol=0.02)


def _convolution_and_cells(
    grid: int, scales: tuple[int, ...], layers: int, kernel: int, part: list[bool] | None = None
) -> tuple[MapConvolution, Tensor]:
    torch.manual_seed(0)
    cells = sparse_cells(grid, scales)
    convolution = MapConvolution(cells, WIDTH, layers, kernel, part=part)
    convolution.balance()
    for name, bias in convolution.named_parameters():
        if name.endswith("bias"):
            bias.data.uniform_(-1, 1)
    return convolution, torch.randn(2, WIDTH, len(cells))


def _whole(convolution: MapConvolution, cells: Tensor, grid: int, scales: tuple[int, ...]) -> Tensor:
    """Convolutions of the whole map, padded before the first; after each, dead cells are multiplied by zero."""
    first, last = torch.tensor(sparse_cells(grid, scales)).T
    dense, live = torch.zeros(len(cells), WIDTH, grid, grid), torch.zeros(1, 1, grid, grid)
    dense[:, :, first, last] = cells
    live[:, :, first, last] = 1
    weights = [parameter for _, parameter in convolution.named_parameters()]
    kernel = weights[0].shape[-1]
    border = [kernel // 2 * (len(weights) // 2)] * 4
    dense, live = F.pad(dense, border), F.pad(live, border)
    for weight, bias in zip(weights[::2], weights[1::2], strict=True):
        count = F.conv2d(live, torch.ones(1, 1, kernel, kernel)).round()
        live = (count > 0).float()
        dense = F.conv2d(dense, weight, bias).relu() * live / count.clamp(min=1)
    return dense[:, :, first, last]
