from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from vmrbench.data.collate import collate
from vmrbench.data.defects import DefectPolicy
from vmrbench.data.features import FeatureSource
from vmrbench.data.flavours.options import FlavourOptions
from vmrbench.errors import ConfigError, DataError
from vmrbench.protocols import VmrDataset
from vmrbench_plugins.jsonl_annotations import DROPPED, JsonlDataset, JsonlOptions, SplitKeys, build_jsonl

SENTENCES = ("a man opens the red door", "a dog jumps over the fence", "she pours milk into a glass")


def write_queries(path: Path, videos: int, *, prefix: str = "v") -> Path:
    rows = [
        {
            "qid": f"{prefix}{video}_{query}",
            "query": f"{sentence} number{video}",
            "vid": f"{prefix}{video}",
            "duration": 40.0,
            "relevant_windows": [[4 + 12 * query, 12 + 12 * query]],
        }
        for video in range(videos)
        for query, sentence in enumerate(SENTENCES)
    ]
    path.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    return path


def simulated(folder: Path, **changes: Any) -> JsonlDataset:
    return build_jsonl(JsonlOptions(train=write_queries(folder / "train.jsonl", 10), **changes))


def with_files(folder: Path, **changes: Any) -> JsonlDataset:
    """Two videos with two clip sources, two index groups."""
    rng = np.random.default_rng(0)
    for name, width in (("first", 3), ("second", 2), ("place", 4), ("look", 5)):
        (folder / name).mkdir(exist_ok=True)
        for video in range(2):
            np.savez(folder / name / f"v{video}.npz", features=rng.standard_normal((20, width)))
    sources = (
        FeatureSource(path=folder / "first", encoder="slowfast"),
        FeatureSource(path=folder / "second", encoder="clip_b32", normalise="l2"),
        FeatureSource(path=folder / "place", encoder="efficientnet_b0", role="index", group="Background"),
        FeatureSource(path=folder / "look", encoder="x3d_xs", role="index", group="Motion"),
    )
    options = {"test": write_queries(folder / "test.jsonl", 2), "features": sources, **changes}
    return build_jsonl(JsonlOptions(**options))


def test_validation_is_carved_by_video(tmp_path: Path) -> None:
    data = simulated(tmp_path, val_share=0.2)

    train, val = data.split("train"), data.split("val")

    assert (len(train), len(val)) == (24, 6)
    assert {a.video_id for a in train.annotations}.isdisjoint(a.video_id for a in val.annotations)


def test_given_validation_file_leaves_training_whole(tmp_path: Path) -> None:
    data = simulated(tmp_path, val=write_queries(tmp_path / "val.jsonl", 2, prefix="w"))

    assert (len(data.split("train")), len(data.split("val"))) == (30, 6)


def test_limits_hold_in_every_split(tmp_path: Path) -> None:
    data = simulated(tmp_path, limit_videos=2, limit_queries=5, val_share=0.5)

    assert (len(data.split("train")), len(data.split("val"))) == (5, 5)


def test_split_without_a_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no split 'test': no file is given"):
        simulated(tmp_path).split("test")


def test_unknown_split_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="did you mean 'test'"):
        simulated(tmp_path).split("tset")


def test_simulated_features_are_stamped(tmp_path: Path) -> None:
    data = simulated(tmp_path)

    assert data.facts.stamps == ("SIMULATED FEATURES", "HASHED WORD VECTORS")
    assert isinstance(data, VmrDataset)


def test_simulated_features_are_the_same_every_time(tmp_path: Path) -> None:
    first, second = simulated(tmp_path).split("train")[4], simulated(tmp_path).split("train")[4]

    assert torch.equal(first.clips, second.clips)
    assert torch.equal(first.query, second.query)


def test_simulated_sample_has_the_shapes_that_the_facts_declare(tmp_path: Path) -> None:
    data = simulated(tmp_path)
    sample = data.split("train")[0]

    assert sample.clips.shape == (20, data.facts.clips.width)
    assert sample.index is not None
    assert sample.index.shape == (20, sum(group.width for group in data.facts.index.values()))
    assert sample.query.shape == (7, data.facts.text.width)


def test_simulated_clips_of_a_moment_are_alike_and_unlike_the_rest(tmp_path: Path) -> None:
    sample = simulated(tmp_path).split("train")[1]
    rows = sample.clips - sample.clips.mean(0)
    # The moment of the second sentence is 16..24 s: rows 8 to 11 of 2 s.
    inside, outside = rows[8:12], torch.cat([rows[:8], rows[12:]])
    alike = (inside @ inside.T)[~torch.eye(4, dtype=torch.bool)].mean()

    assert float(alike) > 2 * float((inside @ outside.T).abs().mean())


def test_undescribed_time_is_not_empty(tmp_path: Path) -> None:
    sample = simulated(tmp_path).split("train")[0]
    # Nothing is said about 0..4 s and 12..16 s.
    described, undescribed = sample.clips[2:6], torch.cat([sample.clips[:2], sample.clips[6:8]])

    assert float(undescribed.std()) == pytest.approx(float(described.std()), rel=0.2)


def test_clip_sources_stand_side_by_side(tmp_path: Path) -> None:
    data = with_files(tmp_path)
    sample = data.split("test")[0]

    assert sample.clips.shape == (20, 5)
    assert torch.allclose(sample.clips[:, 3:].norm(dim=1), torch.ones(20))
    assert data.facts.clips.encoder == "slowfast+clip_b32"


def test_index_groups_keep_their_order_and_width(tmp_path: Path) -> None:
    data = with_files(tmp_path)

    assert {name: facts.width for name, facts in data.facts.index.items()} == {"Background": 4, "Motion": 5}
    index = data.split("test")[0].index
    assert index is not None
    assert index.shape == (20, 9)


def test_samples_of_files_collate(tmp_path: Path) -> None:
    split = with_files(tmp_path).split("test")

    assert collate([split[0], split[5]]).clips.shape == (2, 20, 5)


def test_missing_feature_file_is_found_before_any_sample_is_read(tmp_path: Path) -> None:
    data = with_files(tmp_path)
    (tmp_path / "look" / "v1.npz").unlink()

    with pytest.raises(DataError, match=r"v1.npz: no index features of 'v1'; 1 of 2 are missing"):
        data.split("test")


def test_text_source_replaces_word_vectors(tmp_path: Path) -> None:
    (tmp_path / "text").mkdir()
    for video in range(2):
        for query in range(3):
            np.savez(tmp_path / "text" / f"qid{f'v{video}_{query}'}.npz", last_hidden_state=np.ones((6, 8)))
    text = FeatureSource(
        path=tmp_path / "text", encoder="clip_text", role="text", pattern="qid{query_id}.npz", key="last_hidden_state"
    )
    data = with_files(tmp_path)
    options = JsonlOptions(
        test=tmp_path / "test.jsonl", features=(FeatureSource(path=tmp_path / "first", encoder="c3d"), text)
    )

    data = build_jsonl(options)

    assert data.split("test")[0].query.shape == (6, 8)
    assert data.facts.stamps == ()
    assert data.facts.text.encoder == "clip_text"


def test_defects_and_identity_of_every_file_are_noted(tmp_path: Path) -> None:
    path = tmp_path / "test.jsonl"
    row = {"qid": 1, "query": "x", "vid": "v0", "duration": 10.0, "relevant_windows": [[8, 13]]}
    path.write_text(json.dumps(row), encoding="utf-8")

    data = build_jsonl(JsonlOptions(test=path, defects=DefectPolicy(beyond_video="clip")))

    noted = data.facts.notes["annotations"]["test"]
    assert noted["defects"] == {"beyond_video": {"found": 1, "policy": "clip"}}
    assert (noted["flavour"], noted["known_split"], len(noted["fingerprint"])) == ("tvr_jsonl", None, 16)
    assert DROPPED not in data.facts.stamps


def test_test_queries_that_were_dropped_are_stamped(tmp_path: Path) -> None:
    path = tmp_path / "test.jsonl"
    rows = [
        {"qid": number, "query": "x", "vid": "v0", "duration": 10.0, "relevant_windows": [window]}
        for number, window in enumerate([[2, 4], [3, 3]])
    ]
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")

    data = build_jsonl(JsonlOptions(test=path, defects=DefectPolicy(zero_length="drop")))

    assert len(data.split("test")) == 1
    assert data.facts.stamps[-1] == DROPPED


def test_files_of_other_flavours_make_splits(tmp_path: Path) -> None:
    snag = {
        name: {
            f"{name}{video}": {"fps": 30.0, "num_frames": 1200, "annotations": [{"segment": [4, 12], "sentence": "x"}]}
            for video in range(2)
        }
        for name in ("training", "validation")
    }
    (tmp_path / "snag.json").write_text(json.dumps(snag))
    (tmp_path / "test.txt").write_text("v0 4.0 12.0##a dog jumps.\n")
    (tmp_path / "durations.csv").write_text("id,length\nv0,40.0\n")

    data = build_jsonl(
        JsonlOptions(
            train=tmp_path / "snag.json",
            val=tmp_path / "snag.json",
            test=tmp_path / "test.txt",
            flavour=FlavourOptions(durations=(tmp_path / "durations.csv",)),
            split_keys=SplitKeys(train="training", val="validation"),
        )
    )

    assert {a.video_id for a in data.split("train").annotations} == {"training0", "training1"}
    assert {a.video_id for a in data.split("val").annotations} == {"validation0", "validation1"}
    assert [a.moments for a in data.split("test").annotations] == [((4.0, 12.0),)]


def test_fingerprint_changes_with_the_durations(tmp_path: Path) -> None:
    (tmp_path / "test.txt").write_text("v0 4.0 12.0##a dog jumps.\n")
    durations = tmp_path / "durations.csv"
    options = JsonlOptions(test=tmp_path / "test.txt", flavour=FlavourOptions(durations=(durations,)))
    durations.write_text("id,length\nv0,40.0\n")
    before = build_jsonl(options).facts.fingerprint
    durations.write_text("id,length\nv0,40.5\n")

    assert build_jsonl(options).facts.fingerprint != before


def test_fingerprint_does_not_depend_on_the_folder(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()

    assert with_files(tmp_path / "a").facts.fingerprint == with_files(tmp_path / "b").facts.fingerprint


def test_fingerprint_changes_with_the_features(tmp_path: Path) -> None:
    before = with_files(tmp_path).facts.fingerprint
    np.savez(tmp_path / "first" / "v0.npz", features=np.ones((20, 3)))

    after = build_jsonl(with_files(tmp_path)._options)
    np.savez(tmp_path / "first" / "v0.npz", features=np.ones((20, 3)))

    assert after.facts.fingerprint != before


def test_fingerprint_changes_with_the_annotations(tmp_path: Path) -> None:
    before = with_files(tmp_path).facts.fingerprint
    changed = tmp_path / "other.jsonl"
    changed.write_text((tmp_path / "test.jsonl").read_text().replace("door", "gate"), encoding="utf-8")

    assert with_files(tmp_path, test=changed).facts.fingerprint != before


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "no annotation file"),
        ({"val_share": 1.0}, "val_share"),
        ({"limit_queries": 0}, "limit_queries"),
        ({"features": ()}, "no source of role 'clips'"),
        ({"defects": DefectPolicy(reversed="keep")}, "defects: reversed: 'keep' found"),
        ({"defects": DefectPolicy(no_truth="keep")}, "defects: no_truth: 'keep' found"),
    ],
)
def test_options_that_cannot_be_met_are_refused(tmp_path: Path, options: dict[str, Any], said: str) -> None:
    given = {"test": write_queries(tmp_path / "test.jsonl", 1), **options} if options else {}

    with pytest.raises(ConfigError, match=said):
        build_jsonl(JsonlOptions(**given))


def test_clip_sources_that_differ_in_encoder_passes_are_refused(tmp_path: Path) -> None:
    once = FeatureSource(path=tmp_path, encoder="slowfast")
    twice = FeatureSource(path=tmp_path, encoder="clip_b32", passes_per_clip=2.0)

    with pytest.raises(ConfigError, match=r"passes_per_clip: \[1.0, 2.0\] found, one value"):
        with_files(tmp_path, features=(once, twice)).split("test")


def test_index_source_without_group_is_refused(tmp_path: Path) -> None:
    source = FeatureSource(path=tmp_path, encoder="x3d_xs", role="index")
    clips = FeatureSource(path=tmp_path, encoder="c3d")

    with pytest.raises(ConfigError, match="has no group"):
        with_files(tmp_path, features=(clips, source)).split("test")


def test_real_test_set_without_training_split_loads(shared_dir: Path) -> None:
    folder = shared_dir / "data" / "realmini"
    source = FeatureSource(
        path=folder / "realmini_effnetlite0_2fps_fp16.npz", encoder="efficientnet_lite0", clip_seconds=0.5
    )
    split = build_jsonl(JsonlOptions(test=folder / "realmini_gold.jsonl", features=(source,))).split("test")

    batch = collate([split[i] for i in range(len(split))])

    assert batch.clips.shape[0] == 32
    assert batch.clips.shape[2] == 1280
    assert torch.allclose(batch.clip_end.max(1).values, batch.duration)


def test_real_annotations_with_simulated_features_load(shared_dir: Path) -> None:
    folder = shared_dir / "data" / "tacos"
    options = JsonlOptions(train=folder / "tacos_train_release.jsonl", test=folder / "tacos_test_release.jsonl")
    data = build_jsonl(options)

    assert len(data.split("test")) == 4001
    assert len(data.split("train")) + len(data.split("val")) == 9790
    assert torch.isfinite(data.split("test")[100].clips).all()


def with_finer_files(folder: Path, **changes: Any) -> JsonlDataset:
    """One clip source of 2 s a row, and the same encoder again at 0.5 s."""
    rng = np.random.default_rng(0)
    for name, rows in (("coarse", 20), ("fine", 80)):
        (folder / name).mkdir(exist_ok=True)
        for video in range(2):
            np.savez(folder / name / f"v{video}.npz", features=rng.standard_normal((rows, 3)))
    return build_jsonl(finer_options(folder, **changes))


def finer_options(folder: Path, **changes: Any) -> JsonlOptions:
    finer = {"encoder": "slowfast", "clip_seconds": 0.5, **changes}
    sources = (
        FeatureSource(path=folder / "coarse", encoder="slowfast"),
        FeatureSource(path=folder / "fine", role="finer", **finer),
    )
    return JsonlOptions(test=write_queries(folder / "test.jsonl", 2), features=sources)


def test_finer_clips_are_read_from_a_second_source(tmp_path: Path) -> None:
    data = with_finer_files(tmp_path)

    finer = data.split("test").finer(3, 4)  # type: ignore[attr-defined]  # of the jsonl split

    written = np.load(tmp_path / "fine" / "v1.npz")["features"].astype(np.float32)
    assert np.array_equal(finer.clips.numpy(), written)
    assert finer.clip_start.tolist() == [0.5 * n for n in range(80)]
    assert finer.mask.all()
    assert data.split("test")[3].clips.shape == (20, 3)


def test_a_stride_without_a_source_is_addressed(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"clips of 2 s cut into 2 need rows of 1 s, found 0.5; add a source"):
        with_finer_files(tmp_path).split("test").finer(0, 2)  # type: ignore[attr-defined]  # of the jsonl split


@pytest.mark.parametrize("changes", [{"encoder": "clip_b32"}, {"passes_per_clip": 2.0}])
def test_finer_features_of_another_encoder_are_refused(tmp_path: Path, changes: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="role 'finer' are"):
        with_finer_files(tmp_path, **changes).split("test")


def test_missing_finer_features_are_told_before_anything_is_read(tmp_path: Path) -> None:
    data = with_finer_files(tmp_path)
    (tmp_path / "fine" / "v1.npz").unlink()

    with pytest.raises(DataError, match="v1"):
        data.split("test")


def test_finer_features_are_part_of_the_fingerprint(tmp_path: Path) -> None:
    first = with_finer_files(tmp_path).facts.fingerprint
    np.savez(tmp_path / "fine" / "v1.npz", features=np.zeros((80, 3)))

    assert build_jsonl(finer_options(tmp_path)).facts.fingerprint != first


def test_simulated_features_of_annotations_are_rendered_at_a_finer_stride(tmp_path: Path) -> None:
    split = simulated(tmp_path).split("train")

    finer, sample = split.finer(0, 2), split[0]  # type: ignore[attr-defined]  # of the jsonl split

    assert finer.clips.shape == (40, sample.clips.shape[1])
    assert torch.equal(finer.clip_start[::2], sample.clip_start)
    # The style that all rows of a video share is the same at both strides; the noise averages out.
    shared = torch.corrcoef(torch.stack([finer.clips.mean(0), sample.clips.mean(0)]))[0, 1]
    other = torch.corrcoef(torch.stack([split.finer(4, 2).clips.mean(0), sample.clips.mean(0)]))[0, 1]  # type: ignore[attr-defined]  # of the jsonl split
    assert float(shared) > 0.8
    assert float(other) < 0.8
