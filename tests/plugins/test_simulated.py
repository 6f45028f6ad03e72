from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Literal

import numpy as np
import pytest
import torch

from vmrbench.errors import ConfigError, DataError
from vmrbench.protocols import Split, VmrDataset
from vmrbench.types import Annotation
from vmrbench_plugins._simulator.features import NoiseLevels, make_codes, render, render_finer
from vmrbench_plugins._simulator.grammar import read_sentence, write_sentence
from vmrbench_plugins._simulator.profiles import PROFILES
from vmrbench_plugins._simulator.reader import reader_recall
from vmrbench_plugins._simulator.sampling import fit_start_weights
from vmrbench_plugins._simulator.separability import separability
from vmrbench_plugins._simulator.timeline import Timeline, draw_timeline
from vmrbench_plugins._simulator.words import sentence_vectors, word_table
from vmrbench_plugins.simulated import SimulatedOptions, SimulatedSplit, build_simulated

ProfileName = Literal["charades", "activitynet", "tacos", "long"]
NAMES: tuple[ProfileName, ...] = ("charades", "activitynet", "tacos", "long")


@lru_cache(maxsize=8)
def train(profile: ProfileName, videos: int = 400) -> Split:
    options = SimulatedOptions(profile=profile, videos_train=videos, queries_per_video=PROFILES[profile].events)
    return build_simulated(options).split("train")


def small(seed: int = 0) -> Split:
    options = SimulatedOptions(seed=seed, videos_train=6, videos_val=3, videos_test=3, queries_per_video=4)
    return build_simulated(options).split("train")


def durations(annotations: Sequence[Annotation]) -> np.ndarray:
    return np.array(list({a.video_id: a.duration for a in annotations}.values()))


def moments(annotations: Sequence[Annotation]) -> np.ndarray:
    return np.array([a.moments[0] for a in annotations])


@pytest.mark.parametrize("name", NAMES)
def test_video_lengths_match_the_published_statistics(name: ProfileName) -> None:
    found = durations(train(name).annotations)

    measured = (found.mean(), np.median(found), np.percentile(found, 95))
    assert measured == pytest.approx(PROFILES[name].target.duration, rel=0.03)


@pytest.mark.parametrize("name", NAMES)
def test_moment_lengths_match_the_published_statistics(name: ProfileName) -> None:
    spans = moments(train(name).annotations)
    length = spans[:, 1] - spans[:, 0]

    assert (length.mean(), np.median(length)) == pytest.approx(PROFILES[name].target.moment, rel=0.07)


@pytest.mark.parametrize("name", NAMES)
def test_moment_fractions_match_the_published_statistics(name: ProfileName) -> None:
    annotations = train(name).annotations
    spans = moments(annotations)
    fraction = (spans[:, 1] - spans[:, 0]) / np.array([a.duration for a in annotations])

    assert (fraction.mean(), np.median(fraction)) == pytest.approx(PROFILES[name].target.fraction, rel=0.05)


@pytest.mark.parametrize("name", NAMES)
def test_moment_starts_match_the_published_histogram(name: ProfileName) -> None:
    annotations = train(name).annotations
    start = moments(annotations)[:, 0] / np.array([a.duration for a in annotations])

    histogram = np.histogram(start, bins=5, range=(0, 1))[0] / len(start)
    assert histogram.tolist() == pytest.approx(PROFILES[name].target.start_histogram, abs=0.03)
    assert (start < 0.02).mean() == pytest.approx(PROFILES[name].target.start_at_zero, abs=0.02)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "videos", "queries"), [("tacos", 75, 9790), ("charades", 5336, 12404)])
def test_default_size_is_the_published_one(name: ProfileName, videos: int, queries: int) -> None:
    annotations = build_simulated(SimulatedOptions(profile=name)).split("train").annotations

    assert len(annotations) == queries
    assert len(durations(annotations)) == pytest.approx(videos, rel=0.001)


@pytest.mark.parametrize("name", NAMES)
def test_sentence_fits_one_event_of_its_video(name: ProfileName) -> None:
    split = build_simulated(SimulatedOptions(profile=name, videos_train=20)).split("train")
    assert isinstance(split, SimulatedSplit)

    for position, annotation in enumerate(split.annotations):
        timeline = split.timeline(position)
        object_, action = read_sentence(annotation.sentence)
        (event,) = np.flatnonzero((timeline.objects == object_) & (timeline.actions == action))
        assert annotation.moments == ((timeline.start[event], timeline.end[event]),)


def one_timeline(name: ProfileName, seed: int) -> Timeline:
    profile = PROFILES[name]
    return draw_timeline(profile, fit_start_weights(profile), profile.target.duration[0], np.random.default_rng(seed))


@pytest.mark.parametrize("name", NAMES)
def test_something_happens_at_every_time(name: ProfileName) -> None:
    timeline = one_timeline(name, seed=3)

    reached = 0.0
    for start, end in sorted(zip(timeline.start, timeline.end, strict=True)):
        assert start <= reached + 1e-9
        reached = max(reached, end)
    assert reached == pytest.approx(timeline.duration)


@pytest.mark.parametrize("name", NAMES)
def test_queried_events_share_their_object_and_their_action_with_others(name: ProfileName) -> None:
    shared = []
    for seed in range(20):
        timeline = one_timeline(name, seed)
        for event in range(timeline.askable):
            same_object = (timeline.objects == timeline.objects[event]).sum() - 1
            same_action = (timeline.actions == timeline.actions[event]).sum() - 1
            shared.append(same_object + same_action)

    assert np.mean([count > 0 for count in shared]) > 0.9


def test_same_seed_gives_the_same_samples() -> None:
    first, second = small()[5], small()[5]

    assert first.annotation == second.annotation
    assert torch.equal(first.clips, second.clips)
    assert first.index is not None
    assert second.index is not None
    assert torch.equal(first.index, second.index)
    assert torch.equal(first.query, second.query)


def test_order_of_reading_changes_nothing() -> None:
    forward, backward = small(), small()

    expected = [forward[i].clips for i in range(len(forward))]
    found = {i: backward[i].clips for i in reversed(range(len(backward)))}
    assert all(torch.equal(rows, found[i]) for i, rows in enumerate(expected))


def test_other_seed_gives_other_samples() -> None:
    assert small(seed=1)[0].annotation.moments != small(seed=0)[0].annotation.moments


def test_splits_share_no_video() -> None:
    data = build_simulated(SimulatedOptions(videos_train=3, videos_val=3, videos_test=3, queries_per_video=2))

    first = [data.split(name)[0] for name in ("train", "val", "test")]

    assert len({s.annotation.video_id for s in first}) == 3
    assert len({s.annotation.moments for s in first}) == 3


def test_sample_has_the_shapes_that_the_facts_declare() -> None:
    data = build_simulated(SimulatedOptions(videos_test=2, queries_per_video=2))
    sample = data.split("test")[0]

    length = len(sample.clips)
    assert sample.clips.shape == (length, data.facts.clips.width)
    assert sample.index is not None
    assert sample.index.shape == (length, sum(group.width for group in data.facts.index.values()))
    assert sample.query.shape == (len(sample.annotation.sentence.split()), data.facts.text.width)
    assert list(data.facts.index) == ["Background", "Appearance", "Motion"]


def test_rows_tile_the_video() -> None:
    data = build_simulated(SimulatedOptions(videos_test=2, queries_per_video=2, clip_seconds=2.5))
    sample = data.split("test")[0]

    assert sample.clip_start[0] == 0
    assert torch.equal(sample.clip_start[1:], sample.clip_end[:-1])
    assert float(sample.clip_end[-1]) == pytest.approx(sample.annotation.duration, rel=1e-6)
    assert float(sample.clip_end[0]) == 2.5


def test_features_have_about_unit_variance() -> None:
    split = train("tacos")
    rows = torch.cat([split[i].clips for i in range(0, len(split), 200)])

    # Above 1, because events that overlap add up.
    assert 1.0 < float(rows.std()) < 1.4


def test_same_pair_looks_alike_in_two_videos_and_other_pairs_do_not() -> None:
    pairs = make_codes().pairs

    unlike = np.corrcoef(pairs[0, 0], pairs[5, 6])[0, 1]
    shared_object = np.corrcoef(pairs[0, 0], pairs[0, 6])[0, 1]
    assert abs(unlike) < 0.3
    assert 0.2 < shared_object < 0.7


def test_synonyms_are_near_and_other_words_are_not() -> None:
    table = word_table()

    def cosine(a: str, b: str) -> float:
        return float(table[a] @ table[b] / np.sqrt((table[a] @ table[a]) * (table[b] @ table[b])))

    assert cosine("slices", "cuts") > 0.65
    assert abs(cosine("slices", "washes")) < 0.4


def test_every_word_of_the_grammar_is_a_row() -> None:
    sentence = write_sentence(0, 0, 1, np.random.default_rng(0))

    assert sentence_vectors(sentence, word_table()).shape == (len(sentence.split()), 64)


def test_expensive_features_tell_objects_and_actions_that_the_index_confuses() -> None:
    found = separability("tacos", videos=60)

    assert found["clips", "object"] > 0.75
    assert found["clips", "action"] > 0.75
    assert 0.25 < found["Appearance", "object"] < 0.7
    assert 0.25 < found["Motion", "action"] < 0.75


def test_index_tells_the_category_but_each_group_only_its_own() -> None:
    found = separability("tacos", videos=60)

    assert found["Appearance", "object category"] > 0.85
    assert found["Motion", "action category"] > 0.85
    assert found["Background", "scene"] > 0.85
    assert found["Background", "object"] < 0.15
    assert found["Appearance", "action"] < 0.15
    assert found["Motion", "object"] < 0.15


@pytest.mark.parametrize("name", NAMES)
def test_index_alone_reaches_at_most_seven_tenths_of_the_full_recall(name: ProfileName) -> None:
    videos = 12 if name == "long" else 80
    split = build_simulated(SimulatedOptions(profile=name, videos_test=videos, queries_per_video=4)).split("test")

    full = reader_recall(split, "clips")
    assert full > 0.6
    assert reader_recall(split, "index") <= 0.7 * full


def test_reading_the_wrong_sentence_finds_little() -> None:
    split = build_simulated(SimulatedOptions(videos_test=60, queries_per_video=4)).split("test")

    assert reader_recall(split, "clips", shuffled=True) < 0.1


def test_facts_are_stamped_as_simulated() -> None:
    data = build_simulated(SimulatedOptions())

    assert data.facts.stamps == ("SIMULATED FEATURES", "SIMULATED ANNOTATIONS")
    assert isinstance(data, VmrDataset)


def test_fingerprint_changes_with_the_options() -> None:
    prints = {build_simulated(SimulatedOptions(seed=seed)).facts.fingerprint for seed in (0, 0, 1)}

    assert len(prints) == 2


def test_every_video_is_as_long_as_the_option_says() -> None:
    options = SimulatedOptions(profile="long", duration=7200.0, clip_seconds=8.0, videos_test=2, queries_per_video=3)

    split = build_simulated(options).split("test")

    assert {annotation.duration for annotation in split.annotations} == {7200.0}
    assert {len(split[place].clips) for place in range(len(split))} == {900}
    assert all(5 <= end - start <= 60 for a in split.annotations for start, end in a.moments)


def test_a_data_set_without_a_duration_keeps_the_fingerprint_it_had_before_there_was_one() -> None:
    # As in the record of the published sweep of all backbones.
    options = SimulatedOptions(videos_train=1500, videos_val=150, videos_test=400, queries_per_video=2)

    assert build_simulated(options).facts.fingerprint.startswith("18719d97fa42583316ca861ea1295017")
    assert build_simulated(replace(options, duration=60.0)).facts.fingerprint[:4] != "1871"


def test_unknown_split_is_refused_with_a_suggestion() -> None:
    with pytest.raises(DataError, match="did you mean 'train'"):
        build_simulated(SimulatedOptions()).split("trian")


@pytest.mark.parametrize("factor", [2, 3])
def test_finer_clips_tile_the_clips_of_their_video(factor: int) -> None:
    split = small()
    sample, finer = split[0], split.finer(0, factor)  # type: ignore[attr-defined]  # of the simulated split

    assert torch.allclose(finer.clip_start[::factor], sample.clip_start)
    assert torch.allclose(finer.clip_end[:-1], finer.clip_start[1:])
    assert float(finer.clip_end[-1]) == float(sample.clip_end[-1])
    assert finer.clips.shape == (len(finer.clip_start), sample.clips.shape[1])


def test_finer_clips_show_what_happens_inside_a_clip_and_average_to_it() -> None:
    """Without noise a clip is the mean of the finer ones, and they differ where an event begins inside it."""
    codes = make_codes(NoiseLevels(clip=0.0, index=0.0))
    timeline = small().timeline(0)  # type: ignore[attr-defined]  # of the simulated split
    clips, _ = render(timeline, 10.0, codes, np.random.default_rng(1))

    finer = render_finer(timeline, 10.0, 2, codes, np.random.default_rng(1), np.random.default_rng(2))

    whole = int(timeline.duration // 10)
    pairs = finer[: 2 * whole].reshape(whole, 2, -1)
    assert np.allclose(pairs.mean(1), clips[:whole], atol=1e-5)
    edges = np.concatenate([timeline.start, timeline.end, timeline.scene_start])
    begins = np.array([((edges > 10 * n + 1e-6) & (edges < 10 * n + 10 - 1e-6)).any() for n in range(whole)])
    differs = np.abs(pairs[:, 0] - pairs[:, 1]).max(1) > 1e-4
    assert begins.any()
    assert (differs <= begins).all()
    assert differs[begins].mean() > 0.5


def test_noise_of_finer_clips_is_their_own() -> None:
    finer = small().finer(0, 4).clips  # type: ignore[attr-defined]  # of the simulated split

    # Noise has a variance of about 0.34 in a row; a copy or an interpolation would differ by nothing or by a line.
    assert float((finer[1:] - finer[:-1]).square().mean()) > 0.3


@pytest.mark.parametrize("option", ["videos_train", "queries_per_video", "clip_seconds"])
def test_option_that_cannot_be_met_is_refused(option: str) -> None:
    with pytest.raises(ConfigError, match=option):
        build_simulated(SimulatedOptions(**{option: 0}))
