from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from vmrbench.data.collate import collate
from vmrbench.types import Annotation, FinerClips, Sample


def make_sample(name: str, clips: int, words: int, *, width: int = 3, index: bool = True) -> Sample:
    start = torch.arange(clips, dtype=torch.float32) * 2
    return Sample(
        annotation=Annotation(
            sample_id=name, video_id=f"video of {name}", sentence="x", duration=2.0 * clips, moments=((1.0, 3.0),)
        ),
        clips=torch.ones(clips, width),
        index=torch.full((clips, 2), 5.0) if index else None,
        query=torch.ones(words, 4),
        clip_start=start,
        clip_end=start + 2,
    )


def test_padding_is_zero_everywhere() -> None:
    batch = collate([make_sample("a", 3, 2), make_sample("b", 1, 4)])

    assert batch.index is not None
    for rows in (batch.clips, batch.index, batch.clip_start, batch.clip_end, batch.fine_weight):
        assert not rows[1, 1:].any()
    assert not batch.query[0, 2:].any()


def test_masks_are_true_for_real_rows() -> None:
    batch = collate([make_sample("a", 3, 2), make_sample("b", 1, 4)])

    assert batch.clip_mask.tolist() == [[True, True, True], [True, False, False]]
    assert batch.query_mask.tolist() == [[True, True, False, False], [True, True, True, True]]


def test_every_real_row_is_expensive() -> None:
    batch = collate([make_sample("a", 3, 2), make_sample("b", 1, 4)])

    assert batch.fine_weight.tolist() == [[1.0, 1.0, 1.0], [1.0, 0.0, 0.0]]
    assert batch.fine_weight.dtype == torch.float32


def test_names_durations_and_moments_stay_in_order() -> None:
    batch = collate([make_sample("a", 3, 2), make_sample("b", 1, 4)])

    assert batch.sample_ids == ("a", "b")
    assert batch.video_ids == ("video of a", "video of b")
    assert batch.duration.tolist() == [6.0, 2.0]
    assert batch.moments is not None
    assert [m.tolist() for m in batch.moments] == [[[1.0, 3.0]], [[1.0, 3.0]]]


def test_times_of_rows_are_kept() -> None:
    batch = collate([make_sample("a", 2, 2)])

    assert batch.clip_start.tolist() == [[0.0, 2.0]]
    assert batch.clip_end.tolist() == [[2.0, 4.0]]


def test_batch_without_index_has_none() -> None:
    assert collate([make_sample("a", 2, 2, index=False)]).index is None


def test_index_in_some_samples_only_is_refused() -> None:
    with pytest.raises(ValueError, match="1 of 2 samples of a batch have no index"):
        collate([make_sample("a", 2, 2, index=False), make_sample("b", 2, 2)])


def test_samples_of_different_widths_are_refused() -> None:
    with pytest.raises(ValueError, match="differ in the width of clips"):
        collate([make_sample("a", 2, 2), make_sample("b", 2, 2, width=5)])


def test_no_sample_is_refused() -> None:
    with pytest.raises(ValueError, match="no sample"):
        collate([])


def with_finer(sample: Sample) -> Sample:
    """Two rows of 1 s a clip."""
    start = torch.arange(2.0 * len(sample.clips))
    rows = torch.ones(len(start), sample.clips.shape[1])
    mask = torch.ones(len(start), dtype=torch.bool)
    return replace(sample, finer=FinerClips(clips=rows, mask=mask, clip_start=start, clip_end=start + 1))


def test_finer_clips_are_padded_like_clips() -> None:
    batch = collate([with_finer(make_sample("a", 2, 2)), with_finer(make_sample("b", 1, 2))])

    assert batch.finer is not None
    assert batch.finer.mask.tolist() == [[True] * 4, [True, True, False, False]]
    assert batch.finer.clip_end.tolist() == [[1.0, 2.0, 3.0, 4.0], [1.0, 2.0, 0.0, 0.0]]
    assert not batch.finer.clips[1, 2:].any()
    assert batch.to("meta").finer.clips.device.type == "meta"


def test_finer_clips_of_some_samples_only_are_refused() -> None:
    with pytest.raises(ValueError, match="1 of 2 samples of a batch have no finer clips"):
        collate([with_finer(make_sample("a", 2, 2)), make_sample("b", 1, 2)])
