"""Tests of finding plug-ins: what is found, and who is blamed."""

from __future__ import annotations

import hashlib
import sys
import textwrap
from importlib import metadata
from pathlib import Path

import pytest

from vmrbench.catalog import Catalog, load_catalog, make_options
from vmrbench.errors import ConfigError, PluginError

HEAD = """
from dataclasses import dataclass
from vmrbench import hookimpl
from vmrbench.specs import BackboneSpec, TrimmerSpec

@dataclass(frozen=True, kw_only=True)
class Options:
    hidden: int = 8
    rate: float = 0.5
    sizes: tuple[int, ...] = (1, 2)

def spec(name="mine", **changes):
    given = dict(name=name, summary="s", source="s", options=Options, build=lambda options, dims: None)
    return BackboneSpec(**{**given, **changes})
"""


def write_plugin(folder: Path, body: str, name: str = "mine.py") -> Path:
    path = folder / name
    path.write_text(HEAD + textwrap.dedent(body))
    return path


def offering(what: str) -> str:
    return f"""
    @hookimpl
    def vmr_backbones():
        return {what}
    """


def load(*files: Path | str) -> Catalog:
    return load_catalog(files, package=None)


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_file_offers_its_backbone_under_its_path_and_hash(here):
    path = write_plugin(here, offering("[spec()]"))

    offer = load(path).backbones["mine"]

    assert (offer.plugin, offer.origin, offer.version) == ("mine.py", "file", None)
    assert offer.file_sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_module_is_found_by_name(here, monkeypatch):
    write_plugin(here, offering("[spec()]"), "module_by_name.py")
    monkeypatch.syspath_prepend(here)

    offer = load("module_by_name").backbones["mine"]

    assert (offer.plugin, offer.origin) == ("module_by_name", "module")


def test_an_installed_package_is_found_by_its_entry_point(here, monkeypatch):
    write_plugin(here, offering("[spec()]"), "installed_plugin.py")
    info = here / "some_package-1.5.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: some-package\nVersion: 1.5\n")
    (info / "entry_points.txt").write_text("[vmrbench]\nanything = installed_plugin\n")
    monkeypatch.syspath_prepend(here)

    offer = load().backbones["mine"]

    assert (offer.plugin, offer.origin, offer.version) == ("installed_plugin", "installed", "1.5")


def test_public_modules_of_the_first_party_package_are_found_and_private_ones_are_not(here, monkeypatch):
    package = here / "first_party_plugins"
    package.mkdir()
    (package / "__init__.py").write_text("")
    write_plugin(package, offering("[spec('shown')]"), "public.py")
    write_plugin(package, offering("[spec('hidden')]"), "_private.py")
    monkeypatch.syspath_prepend(here)

    catalog = load_catalog(package="first_party_plugins")

    assert list(catalog.backbones) == ["shown"]
    assert catalog.backbones["shown"].origin == "first-party"


def test_the_launchers_of_this_project_are_found():
    assert {"inline", "process"} <= set(load_catalog().launchers)


def test_no_entry_point_of_this_project_repeats_its_plugins():
    assert not [point for point in metadata.entry_points(group="vmrbench") if "vmrbench_plugins" in point.value]


def test_a_hook_that_raises_is_named(here):
    path = write_plugin(here, "@hookimpl\ndef vmr_backbones():\n    import einops_that_is_not_there\n")

    with pytest.raises(PluginError) as caught:
        _ = load(path).backbones

    assert str(caught.value) == "mine.py: vmr_backbones() failed: No module named 'einops_that_is_not_there'"


def test_a_hook_that_raises_while_it_yields_is_named(here):
    path = write_plugin(here, "@hookimpl\ndef vmr_backbones():\n    yield spec()\n    raise RuntimeError('broken')\n")

    with pytest.raises(PluginError, match=r"^mine\.py: vmr_backbones\(\) failed: broken$"):
        _ = load(path).backbones


def test_a_broken_hook_of_one_kind_does_not_hide_other_kinds(here):
    path = write_plugin(here, "@hookimpl\ndef vmr_backbones():\n    raise RuntimeError('broken')\n")

    assert load(path).trimmers == {}


def test_a_name_offered_twice_names_both_plugins(here):
    first = write_plugin(here, offering("[spec()]"))
    second = write_plugin(here, offering("[spec()]"), "other.py")

    with pytest.raises(PluginError, match=r"backbone 'mine' is offered twice: by mine\.py and by other\.py"):
        _ = load(first, second).backbones


def test_a_misspelt_hook_is_refused_with_the_nearest_name(here):
    path = write_plugin(here, "@hookimpl\ndef vmr_backbone():\n    return []\n")

    with pytest.raises(PluginError, match=r"mine\.py: there is no hook named 'vmr_backbone'; did you mean 'vmr_backb"):
        load(path)


def test_a_hook_without_its_decorator_is_refused(here):
    path = write_plugin(here, "def vmr_backbones():\n    return []\n")

    with pytest.raises(PluginError, match=r"vmr_backbones\(\) is not marked as a hook; put @hookimpl above it"):
        load(path)


def test_a_hook_that_takes_arguments_is_refused(here):
    path = write_plugin(here, "@hookimpl\ndef vmr_backbones(extra):\n    return []\n")

    with pytest.raises(PluginError, match=r"^mine\.py: "):
        load(path)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("[{'name': 'mine'}]", "gave a dict; expected BackboneSpec"),
        ("[spec(options=dict)]", "options of 'mine' are <class 'dict'>; expected a dataclass"),
        ("[spec(options=Options())]", "options of 'mine' are .*; expected a dataclass"),
        ("[spec('No Good')]", "gave the name 'No Good'; expected letters"),
        ("None", "failed: 'NoneType' object is not iterable"),
    ],
)
def test_an_offer_that_is_not_a_proper_spec_is_refused(here, given, message):
    path = write_plugin(here, offering(given))

    with pytest.raises(PluginError, match=message):
        _ = load(path).backbones


def test_a_file_that_is_not_there_is_refused(here):
    with pytest.raises(PluginError, match=r"nowhere\.py: there is no such file"):
        load(here / "nowhere.py")


def test_a_file_that_cannot_be_imported_is_named_and_leaves_nothing_behind(here):
    path = here / "bad.py"
    path.write_text("def broken(:\n")

    with pytest.raises(PluginError, match=r"^bad\.py: could not be imported: invalid syntax"):
        load(path)

    assert not [name for name in sys.modules if name.startswith("_vmrbench_bad")]


def test_a_module_that_is_not_there_is_refused():
    with pytest.raises(PluginError, match="no_such_module: could not be imported: No module named"):
        load("no_such_module")


def test_the_same_plugin_twice_is_refused(here):
    path = write_plugin(here, offering("[spec()]"))

    with pytest.raises(PluginError, match=r"mine\.py: is named twice"):
        load(path, path)


def test_an_unknown_name_gets_the_nearest_one(here):
    catalog = load(write_plugin(here, offering("[spec('qd_detr')]")))

    with pytest.raises(ConfigError, match=r"^here: no backbone is named 'qd-detr'; did you mean 'qd_detr'\?$"):
        catalog.pick("backbone", "qd-detr", "here")


def test_machine_facts_of_plugins_are_merged(here):
    first = write_plugin(here, "@hookimpl\ndef vmr_describe_machine():\n    return {'rack': 3}\n")
    second = write_plugin(here, "@hookimpl\ndef vmr_describe_machine():\n    return {'fan': 'on'}\n", "other.py")

    assert load(first, second).describe_machine() == {"rack": 3, "fan": "on"}


def test_machine_facts_that_collide_are_refused(here):
    body = "@hookimpl\ndef vmr_describe_machine():\n    return {'rack': 3}\n"

    with pytest.raises(PluginError, match="gave 'rack', which another plug-in gave"):
        load(write_plugin(here, body), write_plugin(here, body, "other.py")).describe_machine()


def test_events_reach_plugins_that_ask_for_less_than_is_given(here):
    path = write_plugin(
        here,
        """
        from pathlib import Path
        @hookimpl
        def vmr_run_starting(cell):
            Path("started").write_text(cell["id"])
        @hookimpl
        def vmr_run_finished():
            Path("finished").write_text("yes")
        """,
    )
    catalog = load(path)

    catalog.run_starting({"id": "a"})
    catalog.run_finished({"scores": {}})

    assert (here / "started").read_text() == "a"
    assert (here / "finished").read_text() == "yes"


@pytest.fixture
def spec(here):
    presets = "[spec(presets={'small': {'hidden': 4, 'rate': 0.25}})]"
    return load(write_plugin(here, offering(presets))).backbones["mine"].spec


def test_options_are_defaults_then_preset_then_overrides(spec):
    options = make_options(spec, "small", {"hidden": 2, "sizes": [3]}, "here")

    assert (options.hidden, options.rate, options.sizes) == (2, 0.25, (3,))


def test_a_whole_number_is_taken_for_a_float(spec):
    rate = make_options(spec, None, {"rate": 1}, "here").rate

    assert isinstance(rate, float)
    assert rate == 1.0


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"hiden": 2}, r"here\.hiden: unknown option; did you mean 'hidden'\?"),
        ({"hidden": "2"}, r"here\.hidden: '2' is read as text by YAML; write 2$"),
        ({"hidden": 2.5}, r"here\.hidden: found 2\.5, expected a whole number"),
        ({"hidden": True}, r"here\.hidden: found True, expected a whole number"),
        ({"rate": "1e-4"}, r"here\.rate: '1e-4' is read as text by YAML; write 1\.0e-4$"),
        ({"sizes": [1, "x"]}, r"here\.sizes: item \[1\]: found 'x', expected a whole number"),
        ({"sizes": 3}, r"here\.sizes: found 3, expected a list"),
    ],
)
def test_a_wrong_option_is_addressed(spec, overrides, message):
    with pytest.raises(ConfigError, match=message):
        make_options(spec, None, overrides, "here")


def test_an_unknown_preset_gets_the_nearest_one(spec):
    with pytest.raises(ConfigError, match=r"a\.yaml:3: b\.preset: 'mine' has no preset 'smal'; did you mean 'small'"):
        make_options(spec, "smal", {}, "a.yaml:3: b.options")


def test_a_mistake_found_by_the_options_themselves_is_addressed(here):
    path = write_plugin(
        here,
        """
        @dataclass(frozen=True, kw_only=True)
        class Even:
            hidden: int
            def __post_init__(self):
                if self.hidden % 2:
                    raise ValueError(f"hidden is {self.hidden}; expected an even number")

        @hookimpl
        def vmr_backbones():
            yield spec(options=Even)
        """,
    )
    even = load(path).backbones["mine"].spec

    with pytest.raises(ConfigError, match=r"^here: hidden is 3; expected an even number$"):
        make_options(even, None, {"hidden": 3}, "here")
    with pytest.raises(ConfigError, match=r"^here\.hidden: not given, but it has no default; write it$"):
        make_options(even, None, {}, "here")
