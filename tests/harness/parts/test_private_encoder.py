"""The encoder of selectors: what a clip attends to, padding, and a cost that grows with the length."""

from __future__ import annotations

import torch
from torch import Tensor

from vmrbench.cost.macs import count_macs
from vmrbench.parts.private_encoder import REACH, PrivateEncoder


def encoder(reach: int = REACH) -> PrivateEncoder:
    torch.manual_seed(0)
    made = PrivateEncoder(5, 6, 8).eval()
    made.reach = reach
    return made


def inputs(clips: int, padding: int = 0) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(clips)
    video = torch.randn(2, clips, 5, generator=generator)
    query = torch.randn(2, 4, 6, generator=generator)
    mask = torch.arange(clips + padding).expand(2, -1) < clips
    return torch.nn.functional.pad(video, (0, 0, 0, padding)), mask, query, torch.ones(2, 4, dtype=torch.bool)


def encode(made: PrivateEncoder, video: Tensor, mask: Tensor, query: Tensor, query_mask: Tensor) -> Tensor:
    return made(video, mask, made.encode_query(query, query_mask), query_mask)


def test_within_reach_a_window_is_the_whole_video() -> None:
    # Fourteen rows of padding take the second call past a reach of 20, and no clip of twelve is out of it.
    whole = encode(encoder(reach=20), *inputs(12))
    windowed = encode(encoder(reach=20), *inputs(12, padding=14))[:, :12]

    torch.testing.assert_close(windowed, whole, atol=1e-5, rtol=1e-5)


def test_beyond_reach_a_clip_attends_to_its_neighbours() -> None:
    made, (video, mask, *_) = encoder(reach=3), inputs(17)
    rows = made.attention_norm(made.convolutions(made.video_in(video), mask))
    place = torch.arange(17)
    far = (place[:, None] - place).abs() > 3

    expected = made.attention(rows, rows, rows, attn_mask=far, need_weights=False)[0]

    torch.testing.assert_close(made._attend(rows, mask), expected, atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_cost_grows_with_the_length_and_not_with_its_square() -> None:
    def macs(clips: int) -> int:
        made = encoder(reach=64).to("meta")
        return count_macs(lambda: encode(made, *(part.to("meta") for part in inputs(clips)))).value

    words = 2 * macs(640) - macs(1280)  # What does not depend on the video.
    assert macs(2560) - words == 4 * (macs(640) - words)
