"""Each layout on a tiny tree in the exact shape that its code base publishes, written here."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch

from vmrbench.data.features import FeatureStore
from vmrbench.data.layouts import LAYOUTS, FeatureLayout, sources_of
from vmrbench.data.provider import FilesProvider
from vmrbench.data.query_words import WordVectors
from vmrbench.data.rows import Tolerance
from vmrbench.errors import ConfigError, DataError
from vmrbench.types import Annotation, Sample

RNG = np.random.default_rng(0)


def numbers(*shape: int) -> Any:
    return RNG.standard_normal(shape).astype(np.float32)


def put(path: Path, array: Any, key: str | None = None) -> Any:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".npy":
        np.save(path, array)
    elif path.suffix == ".pt":
        torch.save(torch.from_numpy(array), path)
    elif path.suffix == ".npz":
        np.savez(path, **{key or "features": array})
    else:
        with h5py.File(path, "a") as file:
            file[key or "features"] = array
    return array


def sample(
    root: Path, layout: str, dataset: str, video_id: str, duration: float, *, qid: str = "7", **more: Any
) -> Sample:
    extra = more.pop("extra", {})
    chosen = FeatureLayout(layout=layout, dataset=dataset, root=root, **more)  # type: ignore[arg-type]
    annotation = Annotation(
        sample_id=qid, video_id=video_id, sentence="a man", duration=duration, moments=((0.0, 1.0),), extra=extra
    )
    provider = FilesProvider([annotation], sources_of(chosen), WordVectors(None), Tolerance())
    provider.check_coverage([annotation])
    return provider.sample(annotation)


def unit(rows: Any) -> Any:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def test_moment_detr_puts_slowfast_before_clip(tmp_path: Path) -> None:
    vid = "RoripwjYFp8_360.0_510.0"
    slowfast = put(tmp_path / "slowfast_features" / f"{vid}.npz", numbers(75, 2304))
    clip = put(tmp_path / "clip_features" / f"{vid}.npz", numbers(76, 512))
    text = put(tmp_path / "clip_text_features" / "qid7803.npz", numbers(9, 512), "last_hidden_state")

    found = sample(tmp_path, "moment_detr", "qvhighlights", vid, 150.0, qid="7803")

    assert np.allclose(found.clips, np.concatenate([unit(slowfast), unit(clip[:75])], axis=1), atol=1e-6)
    assert np.allclose(found.query, unit(text), atol=1e-6)
    assert found.clip_end.tolist() == [2.0 * i for i in range(1, 76)]


def test_lighthouse_puts_clip_before_slowfast_whatever_the_case_of_its_folders(tmp_path: Path) -> None:
    clip = put(tmp_path / "Charades" / "clip" / "3MSZA.npz", numbers(31, 512))
    slowfast = put(tmp_path / "Charades" / "slowfast" / "3MSZA.npz", numbers(31, 2304))
    put(tmp_path / "Charades" / "clip_text" / "qid12404.npz", numbers(6, 512), "last_hidden_state")

    found = sample(tmp_path, "lighthouse", "charades", "3MSZA", 30.96, qid="12404")

    assert np.allclose(found.clips, np.concatenate([unit(clip), unit(slowfast)], axis=1), atol=1e-6)
    assert found.clip_end[:2].tolist() == [1.0, 2.0]


def test_lighthouse_names_the_queries_of_tacos_without_a_prefix(tmp_path: Path) -> None:
    put(tmp_path / "tacos" / "clip" / "s30-d52.npz", numbers(10, 512))
    put(tmp_path / "tacos" / "clip_text" / "s30-d52_0.npz", numbers(5, 512), "last_hidden_state")

    found = sample(tmp_path, "lighthouse", "tacos", "s30-d52", 20.0, qid="s30-d52_0", parts=("clip", "text"))

    assert found.query.shape == (5, 512)


def test_lighthouse_audio_is_npy(tmp_path: Path) -> None:
    put(tmp_path / "qvhighlight" / "clip" / "v.npz", numbers(5, 512))
    put(tmp_path / "qvhighlight" / "pann" / "v.npy", numbers(5, 2048))

    found = sample(tmp_path, "lighthouse", "qvhighlights", "v", 10.0, parts=("clip", "pann"))

    assert found.clips.shape == (5, 2560)


def test_univtg_has_its_own_names(tmp_path: Path) -> None:
    slowfast = put(tmp_path / "qvhighlights" / "vid_slowfast" / "v.npz", numbers(5, 2304))
    clip = put(tmp_path / "qvhighlights" / "vid_clip" / "v.npz", numbers(5, 512))
    put(tmp_path / "qvhighlights" / "txt_clip" / "7.npz", numbers(4, 512), "last_hidden_state")

    found = sample(tmp_path, "univtg", "qvhighlights", "v", 10.0)

    assert np.allclose(found.clips, np.concatenate([unit(slowfast), unit(clip)], axis=1), atol=1e-6)
    assert found.query.shape == (4, 512)


@pytest.mark.parametrize(
    ("dataset", "file", "name", "video_id", "width"),
    [
        ("charades", "Charades-STA/vgg_rgb_features.hdf5", "3MSZA", "3MSZA", 4096),
        ("tacos", "TACoS/tall_c3d_features.hdf5", "s30-d52.avi", "s30-d52.avi", 4096),
        ("tacos", "TACoS/tall_c3d_features.hdf5", "s30-d52.avi", "s30-d52", 4096),
        ("activitynet", "ActivityNet/sub_activitynet_v1-3.c3d.hdf5", "v_uqi/c3d_features", "v_uqi", 500),
    ],
)
def test_2dtan_keeps_all_videos_in_hdf5(
    tmp_path: Path, dataset: str, file: str, name: str, video_id: str, width: int
) -> None:
    rows = put(tmp_path / file, numbers(8, width), name)

    found = sample(tmp_path, "2dtan", dataset, video_id, 20.0)

    assert np.allclose(found.clips, unit(rows), atol=1e-6)
    assert found.clip_start.tolist() == [2.5 * i for i in range(8)]


def test_vslnet_spreads_its_rows_over_the_video(tmp_path: Path) -> None:
    rows = put(tmp_path / "features" / "tacos" / "new" / "s30-d52.npy", numbers(16, 1024))

    found = sample(tmp_path, "vslnet", "tacos", "s30-d52.avi", 24.0)

    assert np.array_equal(found.clips, rows)
    assert found.clip_end[-1] == 24.0
    assert found.clip_end[0] == 1.5


def test_vslnet_has_two_kinds_of_features(tmp_path: Path) -> None:
    put(tmp_path / "features" / "activitynet" / "org" / "v_a.npy", numbers(16, 500))

    assert sample(tmp_path, "vslnet", "activitynet", "v_a", 24.0, parts=("org",)).clips.shape == (16, 500)


def test_r2tuning_takes_the_class_token_of_the_last_layer(tmp_path: Path) -> None:
    video = put(
        tmp_path / "tacos" / "clip_b32_vid_k4" / "s30-d52-cam-002.npy", numbers(3, 4, 50, 768).astype(np.float16)
    )
    text = put(tmp_path / "tacos" / "clip_b32_txt_k4" / "7.npy", numbers(6, 4, 512).astype(np.float16))

    found = sample(tmp_path, "r2tuning", "tacos", "s30-d52", 6.0)

    assert np.array_equal(found.clips, video[:, 3, 0].astype(np.float32))
    assert np.array_equal(found.query, text[:, 3].astype(np.float32))
    assert found.clip_end.tolist() == [2.0, 4.0, 6.0]


def test_ego4d_has_a_row_every_16_of_30_frames(tmp_path: Path) -> None:
    clip = "93231c7e-1cf4-4a20-b1f8-9cc9428915b2"
    rows = put(tmp_path / f"{clip}.pt", numbers(900, 2304))

    found = sample(tmp_path, "ego4d", "nlq", clip, 480.0)

    assert np.array_equal(found.clips, rows)
    assert found.clip_start[1].item() == pytest.approx(16 / 30)
    assert found.clip_end[1].item() == pytest.approx(32 / 30)


def test_snag_takes_every_fourth_row_of_tacos_at_the_frame_rate_of_the_annotation(tmp_path: Path) -> None:
    # 400 frames at 20 a second; windows of 16 frames every 4.
    rows = put(tmp_path / "tacos" / "c3d_features" / "s13-d21.npy", numbers(97, 4096))

    found = sample(tmp_path, "snag", "tacos", "s13-d21", 20.0, extra={"fps": 20.0})

    assert np.array_equal(found.clips, rows[::4])
    assert found.clip_start[:3].tolist() == pytest.approx([0.0, 0.8, 1.6])


@pytest.mark.parametrize("fps", ["20", 0, -1.0, True])
def test_frame_rate_that_is_no_number_is_refused_where_it_is_read(tmp_path: Path, fps: Any) -> None:
    put(tmp_path / "tacos" / "c3d_features" / "v.npy", numbers(97, 8))
    put(tmp_path / "features" / "tacos" / "new" / "v.npy", numbers(16, 8))

    with pytest.raises(DataError, match=r"fps: .* found, a number above 0"):
        sample(tmp_path, "snag", "tacos", "v", 20.0, extra={"fps": fps})
    assert sample(tmp_path, "vslnet", "tacos", "v", 20.0, extra={"fps": fps}).clips.shape == (16, 8)


def test_snag_cuts_flow_and_rgb_to_the_shorter(tmp_path: Path) -> None:
    folder = tmp_path / "charades_sta" / "i3d_features" / "kinetics"
    rgb = put(folder / "rgb" / "3MSZA.npy", numbers(57, 1024))
    flow = put(folder / "flow" / "3MSZA.npy", numbers(56, 1024))

    found = sample(tmp_path, "snag", "charades", "3MSZA", 10.0, extra={"fps": 24.0})

    assert np.array_equal(found.clips, np.concatenate([rgb[:56], flow], axis=1))


def test_snag_has_a_file_for_every_query_of_ego4d(tmp_path: Path) -> None:
    put(tmp_path / "ego4d" / "slowfast_features" / "v.npy", numbers(20, 2304))
    put(tmp_path / "ego4d" / "bert_features" / "v_0003.npy", numbers(8, 768))

    found = sample(tmp_path, "snag", "ego4d", "v", 11.0, qid="v_0003", extra={"fps": 30.0})

    assert found.query.shape == (8, 768)


def test_snag_has_features_of_films(tmp_path: Path) -> None:
    put(tmp_path / "mad" / "clip_features" / "video_5fps_512d" / "10142.npy", numbers(50, 512))
    put(tmp_path / "mad" / "clip_features" / "token_512d" / "99.npy", numbers(7, 512))

    found = sample(tmp_path, "snag", "mad", "10142", 10.0, qid="99")

    assert found.clip_end[:2].tolist() == pytest.approx([0.2, 0.4])


@pytest.mark.parametrize(("parts", "size", "width"), [((), "B32", 512), (("l14", "text_l14"), "L14", 768)])
def test_mad_keeps_films_and_sentences_in_hdf5(tmp_path: Path, parts: tuple[str, ...], size: str, width: int) -> None:
    film = put(tmp_path / f"CLIP_{size}_frames_features_5fps.h5", numbers(50, width), "3003_40_YEAR_OLD_VIRGIN")
    text = put(tmp_path / f"CLIP_{size}_language_tokens_features.h5", numbers(7, width), "1050")

    found = sample(tmp_path, "mad", "mad", "3003_40_YEAR_OLD_VIRGIN", 10.0, qid="1050", parts=parts)

    assert np.array_equal(found.clips, film)
    assert np.array_equal(found.query, text)
    assert found.clip_end[:2].tolist() == pytest.approx([0.2, 0.4])


def test_published_order_can_be_changed(tmp_path: Path) -> None:
    slowfast = put(tmp_path / "slowfast_features" / "v.npz", numbers(5, 2304))
    clip = put(tmp_path / "clip_features" / "v.npz", numbers(5, 512))

    found = sample(tmp_path, "moment_detr", "qvhighlights", "v", 10.0, parts=("clip", "slowfast"))

    assert np.allclose(found.clips, np.concatenate([unit(clip), unit(slowfast)], axis=1), atol=1e-6)


def test_keys_of_a_part_can_be_changed(tmp_path: Path) -> None:
    rows = put(tmp_path / "mine" / "v.npy", numbers(10, 512))
    change = {"clip": {"path": "mine", "pattern": "{video_id}.npy", "clip_seconds": 1.0, "normalise": "none"}}

    found = sample(tmp_path, "moment_detr", "qvhighlights", "v", 10.0, parts=("clip",), change=change)

    assert np.array_equal(found.clips, rows)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"dataset": "qvhighlight"}, "has no data set 'qvhighlight'; did you mean 'qvhighlights'"),
        ({"parts": ("clips",)}, "has no part 'clips'; did you mean 'clip'"),
        ({"parts": ("clip", "clip")}, "part 'clip' is given twice"),
        ({"parts": ("clip",), "change": {"text": {}}}, "part 'text' is not used"),
        ({"change": {"clip": {"clip_second": 1.0}}}, r"change.clip.clip_second"),
        ({"change": {"clip": {"ids": ["lowwer"]}}}, r"change.clip.*did you mean 'lower'"),
        ({"change": {"clip": {"take_every": "x"}}}, r"change.clip.take_every.*'x'"),
    ],
)
def test_what_a_layout_does_not_have_is_refused(tmp_path: Path, more: dict[str, Any], said: str) -> None:
    choice = {"layout": "moment_detr", "dataset": "qvhighlights", "root": tmp_path, **more}

    with pytest.raises(ConfigError, match=said):
        sources_of(FeatureLayout(**choice))


def every(check: Callable[[str, str], None]) -> None:
    for layout, datasets in LAYOUTS.items():
        for dataset in datasets:
            check(layout, dataset)


def test_every_part_of_every_layout_is_a_feature_source(tmp_path: Path) -> None:
    def check(layout: str, dataset: str) -> None:
        known = LAYOUTS[layout][dataset]  # type: ignore[index]
        chosen = FeatureLayout(layout=layout, dataset=dataset, root=tmp_path, parts=tuple(known.parts))  # type: ignore[arg-type]
        sources = sources_of(chosen)
        assert [source.role for source in sources].count("clips") > 0
        assert set(known.published) <= set(known.parts)

    every(check)


def test_real_clip_features_of_univtg_are_read(shared_dir: Path, tmp_path: Path) -> None:
    real = shared_dir / "data" / "features"
    for part, name, file in (("vid_clip", "v", "univtg_vid.npz"), ("txt_clip", "7", "univtg_txt.npz")):
        (tmp_path / "qvhighlights" / part).mkdir(parents=True)
        (tmp_path / "qvhighlights" / part / f"{name}.npz").write_bytes((real / file).read_bytes())
    keys = {name: list(np.load(real / file)) for name, file in (("clip", "univtg_vid.npz"), ("text", "univtg_txt.npz"))}
    change = {name: {"key": found[0]} for name, found in keys.items()}

    found = sample(tmp_path, "univtg", "qvhighlights", "v", 30.0, parts=("clip", "text"), change=change)

    assert found.clips.shape == (15, 512)
    assert found.query.shape == (12, 512)
    assert np.allclose(found.clips.norm(dim=1), 1.0, atol=1e-5)


def test_a_source_of_a_layout_is_the_same_as_one_written_out(tmp_path: Path) -> None:
    rows = put(tmp_path / "clip_features" / "v.npz", numbers(5, 512))
    (source,) = sources_of(FeatureLayout(layout="moment_detr", dataset="tacos", root=tmp_path, parts=("clip",)))

    assert np.allclose(FeatureStore(source).read("v"), unit(rows), atol=1e-6)
