"""Tests of what the store says a sweep would do."""

from __future__ import annotations

import pytest

from vmrbench.store import Store, plan_row

KEYS = {"train": "a" * 64, "predict": "b" * 64, "cells": "c" * 64}


@pytest.fixture
def store(tmp_path):
    return Store(root=tmp_path)


def put(store: Store, *stages) -> None:
    for stage in stages:
        with store.write(stage, KEYS[stage]):
            pass


def test_a_cell_with_every_stage_is_done(store):
    put(store, *KEYS)

    row = plan_row(store, "cell", "fill", KEYS)

    assert (row.runs, row.reason) == (False, "done")


def test_a_cell_that_lacks_stages_runs_and_names_them(store):
    put(store, "train")

    row = plan_row(store, "cell", "fill", KEYS)

    assert row.stages == {"train": "done", "predict": "missing", "cells": "missing"}
    assert (row.runs, row.reason) == (True, "missing: predict, cells")


def test_a_cell_that_failed_is_tried_again_and_says_why(store):
    store.record_failure(KEYS["cells"], "Traceback\n  ...\nValueError: no luck\n")

    row = plan_row(store, "cell", "fill", KEYS)

    assert (row.runs, row.reason) == (True, "failed before: ValueError: no luck")


def test_nothing_runs_under_never(tmp_path):
    row = plan_row(Store(root=tmp_path, overwrite="never"), "cell", "fill", KEYS)

    assert row.runs is False
