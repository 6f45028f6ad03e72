"""Tests of reading a sweep file: what is refused, what can be overridden, where paths lead."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from vmrbench.config import load_config
from vmrbench.errors import ConfigError


def refusal(path, *sets, **more) -> str:
    with pytest.raises(ConfigError) as caught:
        load_config(path, sets, **more)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sedes: [0]\n", "sweep.yaml:1: sedes: unknown key; did you mean 'seeds'?"),
        ("train: {batch_siz: 3}\n", "sweep.yaml:1: train.batch_siz: unknown key; did you mean 'batch_size'?"),
        ("train:\n  batch_size: 0\n", "sweep.yaml:2: train.batch_size: found 0, expected greater than or equal to 1"),
        ("train: {batch_size: 1.5}\n", "sweep.yaml:1: train.batch_size: found 1.5, expected a whole number"),
        (
            "train: {learning_rate: '1e-4'}\n",
            "sweep.yaml:1: train.learning_rate: '1e-4' is read as text by YAML; write 1.0e-4",
        ),
        ("seeds: 0\n", "sweep.yaml:1: seeds: found 0, expected a list"),
        ("seeds: [0, a]\n", "sweep.yaml:1: seeds[1]: found 'a', expected a whole number"),
        ("cost: [1]\n", "sweep.yaml:1: cost: found [1], expected a mapping"),
        ("device: gpu\n", "sweep.yaml:1: device: found 'gpu', expected 'auto', 'cpu', 'cuda' or 'cuda:0'"),
        (
            "precision: bf61\n",
            "sweep.yaml:1: precision: found 'bf61', expected one of fp32, bf16, fp16; did you mean 'bf16'?",
        ),
        ("protocol: vmrbench-v2\n", "sweep.yaml:1: protocol: no protocol is named 'vmrbench-v2'; did you mean 'vmrbe"),
        ("name: No Good\n", "sweep.yaml:1: name: found 'No Good', expected "),
        ("limit: 0\n", "sweep.yaml:1: limit: found 0, expected greater than or equal to 1"),
    ],
)
def test_a_wrong_value_is_told_in_one_line_with_its_place(write, text, message):
    assert refusal(write(text)).startswith(message)


def test_a_mistake_inside_a_list_is_addressed(write):
    path = write(rest="datasets: [{name: files}]\ntrimmers: [{name: none}]\nbackbones:\n  - name: net\n  - nme: net\n")

    assert refusal(path) == "sweep.yaml:5: backbones[1].nme: unknown key; did you mean 'name'? (and 1 more)"


def test_a_missing_key_is_named(write):
    message = refusal(write(rest="backbones: [{name: net}]\ntrimmers: [{name: none}]\n"))

    assert message == "sweep.yaml: datasets: not given, but it has no default; write it"


def test_an_empty_list_is_refused(write):
    assert "backbones: found []" in refusal(write(), "backbones=[]")


def test_an_id_taken_twice_is_refused(write):
    path = write(rest="datasets: [{name: files}]\nbackbones: [{name: net}]\ntrimmers:\n- name: a\n- {id: a, name: b}\n")

    assert refusal(path).startswith("sweep.yaml:5: trimmers[1]: the id 'a' is taken by trimmers[0]")


def test_an_unsafe_id_is_refused(write):
    assert refusal(write(), "trimmers.none.id=a/b").endswith("expected letters a-z, digits, '_', '.' and '-'")


def test_paths_are_relative_to_the_file_they_stand_in(write, folder):
    write("store: runs\n", name="deep/base.yaml")
    config = load_config(write(rest="inherit: deep/base.yaml\nreport: out.md\n"))

    assert config.store == folder / "deep" / "runs"
    assert config.report == folder / "out.md"
    assert config.plugins == (folder / "deep" / "mine.py",)


def test_defaults_are_relative_to_the_file_that_was_named(write, folder):
    config = load_config(write(name="deep/sweep.yaml"))

    assert config.records == folder / "deep" / "reports" / "records"


def test_paths_on_the_command_line_are_relative_to_the_shell(write, folder):
    assert load_config(write(name="deep/sweep.yaml"), ["store=runs"]).store == folder / "runs"


def test_a_plugin_without_py_and_slash_is_a_module(write):
    assert load_config(write(), ["plugins=[some.module]"]).plugins == ("some.module",)


def test_set_takes_yaml_values_and_makes_allowed_keys(write):
    config = load_config(write(), ["train.learning_rate=1.0e-2", "backbones.net.options.sizes=[1, 2]", "seeds=[1, 2]"])

    assert config.file.train.learning_rate == 0.01
    assert config.file.backbones[0].options == {"sizes": [1, 2]}
    assert config.file.seeds == [1, 2]


def test_set_reaches_list_items_by_position_and_by_id(write):
    sets = ["trimmers.1.id=half.b", "trimmers.half.b.options.keep_ratio=0.5"]

    trimmer = load_config(write(), sets).file.trimmers[1]

    assert (trimmer.id, trimmer.options) == ("half.b", {"keep_ratio": 0.5})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("train", "--set train: expected KEY=VALUE, such as train.batch_size=8"),
        ("backbones.nte.preset=a", "--set backbones.nte.preset=a: backbones has no item 'nte'; did you mean 'net'?"),
        ("backbones.7.preset=a", "--set backbones.7.preset=a: backbones has no item '7'; known: net"),
        ("backbones.net.name.x=a", "--set backbones.net.name.x=a: backbones[0].name holds 'net', which has no key 'x'"),
        ("train.epochs=3", "--set train.epochs=3: train.epochs: unknown key"),
        ("device=[", "--set device=[: not valid YAML"),
    ],
)
def test_a_wrong_set_is_told_in_one_line(write, text, message):
    assert refusal(write(), text).startswith(message)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("backbone", "--only backbone: expected KIND=ID, such as backbone=2d_tan"),
        ("backbones=net", "--only backbones=net: no kind is named 'backbones'; did you mean 'backbone'?"),
        ("backbone=nte", "--only backbone=nte: no backbone fits; did you mean 'net'?"),
    ],
)
def test_a_wrong_only_is_told_in_one_line(write, text, message):
    assert refusal(write(), only=[text]) == message


def test_limit_overrides_the_file(write):
    assert load_config(write("limit: 5\n"), limit=3).file.limit == 3


def test_another_device_can_be_chosen_and_is_checked(write):
    config = load_config(write())

    assert config.with_device("cuda:1").file.device == "cuda:1"
    with pytest.raises(ConfigError, match="--device gpu: device: found 'gpu'"):
        config.with_device("gpu")


def test_a_config_can_be_sent_to_another_process(write):
    config = load_config(write(), only=["seed=0"])

    assert pickle.loads(pickle.dumps(config)) == config


def test_the_published_sweep_is_valid():
    config = load_config(Path(__file__).resolve().parents[3] / "benchmarks.yaml")

    assert config.file.name == "bench"


@pytest.mark.parametrize("protocol", ["qvhighlights-v1", "2dtan-charades-v1", "ego4d-nlq-v1", "mad-v1", "vslnet-v1"])
def test_a_sweep_is_scored_by_a_published_protocol(write, protocol):
    config = load_config(write(f"protocol: {protocol}\ntrain: {{select_by: mAP}}\n"))

    assert (config.file.protocol, config.file.train.select_by) == (protocol, "mAP")


def test_a_place_outside_the_folder_of_the_file_is_shown_without_detours(write):
    path = write("report: ../elsewhere/report.md\n")

    assert load_config(path).report == path.resolve().parents[1] / "elsewhere" / "report.md"
