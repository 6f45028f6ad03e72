from __future__ import annotations

from dataclasses import replace

import torch

from vmrbench.testing.factories import make_batch
from vmrbench.trim.saliency_labels import graded_labels, of_another_video, ranked_pairs, same_video


def test_clips_of_a_moment_have_grade_one_where_the_data_set_has_no_grades() -> None:
    # The moment of each video is its second and third clip.
    labels = graded_labels(make_batch([5, 3]), 2)

    assert labels.grades.tolist() == [[0, 1, 1, 0, 0], [0, 1, 1, 0, 0]]


def test_grades_of_the_data_set_are_taken_as_they_are() -> None:
    batch = make_batch([5, 3])
    grades = torch.arange(10.0).reshape(2, 5)

    assert torch.equal(graded_labels(replace(batch, extra={"saliency_all": grades}), 2).grades, grades)


def test_pairs_of_the_data_set_are_taken_as_they_are() -> None:
    positive, negative = torch.tensor([[1, 2], [1, 1]]), torch.tensor([[0, 4], [0, 0]])
    batch = replace(make_batch([5, 3]), extra={"saliency_pos": positive, "saliency_neg": negative})

    pairs = ranked_pairs(batch, 7)

    assert torch.equal(pairs.positive, positive)
    assert torch.equal(pairs.negative, negative)
    assert pairs.valid.all()


def test_the_next_sample_may_be_of_the_same_video() -> None:
    batch = replace(make_batch([5, 3, 4]), video_ids=("a", "a", "b"))

    assert of_another_video(batch).tolist() == [False, True, True]


def test_a_sample_alone_has_no_other_video() -> None:
    assert of_another_video(make_batch([5])).tolist() == [False]


def test_samples_of_one_video_show_the_same_video() -> None:
    batch = replace(make_batch([5, 3, 4]), video_ids=("a", "b", "a"))

    assert same_video(batch).tolist() == [[True, False, True], [False, True, False], [True, False, True]]
