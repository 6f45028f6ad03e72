"""Tests of expanding a sweep to cells, and of their identity."""

from __future__ import annotations

import pytest

from vmrbench.config import load_config
from vmrbench.errors import ConfigError
from vmrbench.identity import fingerprint


@pytest.fixture
def cells(write, catalog):
    def resolve(*sets, text="", only=(), limit=None):
        return load_config(write(text), sets, only, limit).resolve(catalog)

    return resolve


def test_cells_are_every_combination_in_a_fixed_order(cells):
    ids = [cell.id for cell in cells("seeds=[1, 0]")]

    assert ids == ["files/net/none/1", "files/net/none/0", "files/net/uniform/1", "files/net/uniform/0"]


def test_only_chooses_by_glob_and_adds_up_within_a_kind(cells):
    ids = [cell.id for cell in cells("seeds=[0, 1, 2]", only=["trimmer=uni*", "seed=0", "seed=2"])]

    assert ids == ["files/net/uniform/0", "files/net/uniform/2"]


def test_options_are_filled_from_defaults_preset_and_overrides(cells):
    backbone = cells("backbones.net.preset=small", "backbones.net.options.rate=1")[0].backbone

    assert (backbone.options.hidden, backbone.options.rate) == (4, 1.0)


def test_train_overrides_of_the_trimmer_win_over_those_of_the_backbone(cells):
    sets = ["train.batch_size=2", "backbones.net.train={base_epochs: 3, extra_epochs: 3}"]

    train = cells(*sets, "trimmers.uniform.train={extra_epochs: 5}")[1].train

    assert (train.batch_size, train.base_epochs, train.extra_epochs) == (2, 3, 5)
    assert train.clip_norm == 1.0


def test_an_override_equal_to_the_default_still_overrides(cells):
    assert cells("train.batch_size=2", "backbones.net.train={batch_size: 32}")[0].train.batch_size == 32


PRESET_SMALL = ("backbones.net.preset=small", "backbones.net.train_as_preset=true")


def test_a_preset_says_nothing_about_training_unless_asked(cells):
    assert cells("backbones.net.preset=small")[0].train.base_epochs == 12


def test_training_of_a_preset_goes_before_the_top_level_and_behind_the_entries(cells):
    sets = ["train={base_epochs: 1, batch_size: 2, clip_norm: 9}", "backbones.net.train={batch_size: 3}"]

    train = cells(*PRESET_SMALL, *sets, "trimmers.uniform.train={extra_epochs: 5}")[1].train

    assert (train.base_epochs, train.batch_size, train.clip_norm, train.extra_epochs) == (7, 3, 9.0, 5)


def test_without_a_preset_training_is_that_of_the_published_defaults(cells):
    train = cells("backbones.net.train_as_preset=true")[0].train

    assert (train.base_epochs, train.schedule, train.drop_epoch) == (200, "step", 80)


def test_training_as_a_preset_that_says_nothing_about_it_is_refused(cells):
    message = r"backbones\[0\]\.train_as_preset: preset 'odd' of 'net' has no training settings; write them"
    with pytest.raises(ConfigError, match=message):
        cells("backbones.net.preset=odd", "backbones.net.train_as_preset=true")


def test_a_step_without_its_epoch_is_refused_where_the_step_is_written(cells):
    with pytest.raises(ConfigError, match=r"backbones\[0\]\.train\.schedule: 'step' needs drop_epoch"):
        cells("backbones.net.train={schedule: step}")


def test_the_epoch_of_a_step_may_stand_elsewhere(cells):
    train = cells("train.drop_epoch=4", "backbones.net.train={schedule: step}")[0].train

    assert (train.schedule, train.drop_epoch) == ("step", 4)


def test_fill_is_concat_zero_by_default_and_none_where_nothing_is_filled(cells):
    assert [cell.trimmer.fill for cell in cells()] == [None, "concat_zero"]


def test_fill_of_a_trimmer_that_fills_nothing_is_refused(cells):
    with pytest.raises(ConfigError, match=r"trimmers\[0\]\.fill: trimmer 'none' reads expensive features only"):
        cells("trimmers.none.fill=adapter")


def test_clips_are_filled_by_default_and_windows_have_their_defaults(cells):
    assert [cell.trimmer.applied for cell in cells()] == ["whole", "fill, concat_zero"]
    cut = cells("trimmers.uniform.apply=windows")[1].trimmer
    assert (cut.applied, cut.finer, cut.windows.count) == ("windows, concat_zero", 2, 1)
    assert cells("trimmers.uniform.windows={finer: 3}", "trimmers.uniform.apply=windows")[1].trimmer.finer == 3


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["trimmers.uniform.apply=crop"], r"apply: found 'crop', expected one of fill, gather, windows"),
        (
            ["trimmers.none.apply=windows"],
            r"apply: trimmer 'none' cannot be applied as 'windows'; expected fill, gather",
        ),
        (
            ["trimmers.uniform.apply=windows", "trimmers.uniform.plan=union_mean"],
            r"plan: windows are chosen for each query alone, found plan 'union_mean'; leave it out",
        ),
        (["trimmers.uniform.windows={finer: 3}"], r"windows: read under 'apply: windows' only, found apply 'fill'"),
        (
            ["trimmers.uniform.windows={fine: 3}", "trimmers.uniform.apply=windows"],
            r"windows\.fine: .*did you mean 'finer'",
        ),
        (
            ["trimmers.uniform.options.keep_ratio=0.0", "trimmers.uniform.apply=gather"],
            r"'gather' needs at least one clip",
        ),
        (
            ["trimmers.uniform.freeze_backbone=true", "train.base_epochs=0"],
            r"trimmers\[1\]\.freeze_backbone: backbone 'net' has neither 'weights' nor base_epochs",
        ),
    ],
)
def test_a_mode_that_cannot_be_is_refused(cells, settings, message):
    with pytest.raises(ConfigError, match=message):
        cells(*settings)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("backbones.net.name=nte", r"backbones\[0\]\.name: no backbone is named 'nte'; did you mean 'net'\?"),
        ("backbones.net.preset=smal", r"backbones\[0\]\.preset: 'net' has no preset 'smal'; did you mean 'small'\?"),
        ("backbones.net.options.hiden=3", r"backbones\[0\]\.options\.hiden: unknown option; did you mean 'hidden'\?"),
        ("trimmers.uniform.options.keep_ratio=half", r"trimmers\[1\]\.options\.keep_ratio: found 'half', expected a n"),
    ],
)
def test_a_wrong_plugin_name_or_option_is_addressed(cells, setting, message):
    with pytest.raises(ConfigError, match=message):
        cells(setting)


def test_the_line_of_a_wrong_option_is_its_own(write, catalog):
    path = write(
        rest="datasets: [{name: files}]\ntrimmers: [{name: none}]\nbackbones:\n- name: net\n  options:\n    hiden: 1\n"
    )

    with pytest.raises(ConfigError, match=r"^sweep\.yaml:6: backbones\[0\]\.options\.hiden: unknown option"):
        load_config(path).resolve(catalog)


def test_entries_that_were_not_chosen_are_checked_too(cells):
    with pytest.raises(ConfigError, match="keep_ratio"):
        cells("trimmers.uniform.options.keep_ratio=half", only=["trimmer=none"])


def test_path_options_are_relative_to_the_file(write, catalog, folder):
    options = "{features: a, parts: [b, /c], listing: d.txt, split: e}"
    path = write(f"datasets: [{{name: files, options: {options}}}]\n", "deep/sweep.yaml", "")
    path.write_text(path.read_text() + "backbones: [{name: net}]\ntrimmers: [{name: none}]\n")

    found = load_config(path).resolve(catalog)[0].dataset.options

    assert found.features == folder / "deep" / "a"
    assert [str(part) for part in found.parts] == [str(folder / "deep" / "b"), "/c"]
    assert (found.listing, found.split) == (str(folder / "deep" / "d.txt"), "e")


def test_identity_holds_what_can_change_a_result(cells):
    identity = cells("backbones.net.preset=small", limit=7)[1].identity()

    texts = {identity[kind].pop("file_sha256") for kind in ("dataset", "backbone", "trimmer")}
    assert len(texts) == 1  # the three come from one plug-in file, whose text is part of what they are
    assert identity["dataset"] == {"name": "files", "revision": 1, "options": {"split": "a"}, "fingerprint": "fa"}
    assert identity["backbone"] == {"name": "net", "revision": 3, "options": {"hidden": 4, "rate": 0.5}}
    assert identity["trimmer"] == {
        "name": "uniform",
        "revision": 1,
        "options": {"keep_ratio": 0.25},
        "fill": "concat_zero",
    }
    assert (identity["seed"], identity["limit"], identity["protocol"]) == (0, 7, "vmrbench-v1")
    # What came later counts only where it was changed: runs that were stored before stay what they are.
    assert set(identity["train"]) == {
        "base_epochs",
        "extra_epochs",
        "batch_size",
        "learning_rate",
        "weight_decay",
        "warmup_share",
        "clip_norm",
        "validate_every",
        "select_by",
    }


@pytest.mark.parametrize(
    "setting",
    [
        "store=elsewhere",
        "device=cuda",
        "name=other",
        "backbones.net.id=other",
        "datasets.files.options.features=elsewhere",
        "train.eval_batch_size=3",
        "cost.latency_rounds=9",
        "train.batch_size=32",
        "train.schedule=cosine",
        "train.drop_epoch=null",
        "train.length_buckets=true",
        "train.ema=0.0",
        "compile=false",
        "trimmers.uniform.apply=fill",
        "trimmers.uniform.freeze_backbone=false",
        "backbones.net.options.hidden=8",
        "launcher.options={}",
    ],
)
def test_what_cannot_change_a_result_does_not_change_the_identity(cells, setting):
    assert fingerprint(cells(setting)[0].identity()) == fingerprint(cells()[0].identity())


@pytest.mark.parametrize(
    "setting",
    [
        "seeds=[1]",
        "precision=bf16",
        "limit=3",
        "backbones.net.options.hidden=9",
        "datasets.files.options.split=b",
        "trimmers.uniform.fill=adapter",
        "trimmers.uniform.options.keep_ratio=0.5",
        "train.learning_rate=0.5",
        "train.schedule=linear",
        "train.length_buckets=false",
        "train.ema=0.999",
        "compile=true",
        "trimmers.uniform.apply=gather",
        "trimmers.uniform.apply=windows",
        "trimmers.uniform.freeze_backbone=true",
    ],
)
def test_what_can_change_a_result_changes_the_identity(cells, setting):
    assert fingerprint(cells(setting)[1].identity()) != fingerprint(cells()[1].identity())


def test_a_data_set_is_built_once_for_all_its_cells(cells):
    first, second = cells()

    assert first.dataset.built is second.dataset.built


def test_the_launcher_is_resolved_with_its_options(write, catalog):
    offer, options = load_config(write()).launcher(catalog)

    assert offer.spec.name == "inline"
    assert type(options).__name__ == "Nothing"


def test_an_unknown_launcher_is_addressed(write, catalog):
    with pytest.raises(ConfigError, match=r"sweep\.yaml:1: launcher\.name: no launcher is named 'inlin'; did you mean"):
        load_config(write("launcher: {name: inlin}\n")).launcher(catalog)
