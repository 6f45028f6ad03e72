"""A small sweep file with a plug-in of its own, so that these tests depend on no real one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from vmrbench.catalog import Catalog, load_catalog

PLUGIN = """
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from vmrbench import hookimpl
from vmrbench.specs import BackboneSpec, DatasetSpec, LauncherSpec, TrimmerSpec

@dataclass(frozen=True, kw_only=True)
class Hidden:
    hidden: int = 8
    rate: float = 0.5

@dataclass(frozen=True, kw_only=True)
class Nothing:
    pass

@dataclass(frozen=True, kw_only=True)
class Ratio:
    keep_ratio: float = 0.25

@dataclass(frozen=True, kw_only=True)
class Files:
    features: Path = Path("features")
    parts: tuple[Path, ...] = ()
    listing: str = field(default="list.txt", metadata={"path": True})
    split: str = "a"

def dataset(options):
    return SimpleNamespace(facts=SimpleNamespace(fingerprint="f" + options.split))

def make(kind, name, options, **more):
    return kind(name=name, summary="s", source="s", options=options, **{"build": lambda *given: None, **more})

PRESETS = {"published": {}, "small": {"hidden": 4}, "odd": {"hidden": 5}}
TRAINING = {
    "published": {"base_epochs": 200, "schedule": "step", "drop_epoch": 80},
    "small": {"base_epochs": 7, "batch_size": 6},
}

@hookimpl
def vmr_backbones():
    yield make(BackboneSpec, "net", Hidden, presets=PRESETS, training=TRAINING, revision=3)

@hookimpl
def vmr_trimmers():
    yield make(TrimmerSpec, "none", Nothing, input="fine", needs_index=False, apply=("fill", "gather"))
    yield make(TrimmerSpec, "uniform", Ratio)

@hookimpl
def vmr_datasets():
    yield make(DatasetSpec, "files", Files, build=dataset)

@hookimpl
def vmr_launchers():
    yield LauncherSpec(name="inline", summary="s", options=Nothing, launch=lambda *given: {})
"""

SWEEP = """\
plugins: [mine.py]
datasets: [{name: files}]
backbones: [{name: net}]
trimmers: [{name: none}, {name: uniform}]
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with the plug-in in it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(PLUGIN)
    return tmp_path


@pytest.fixture
def write(folder: Path) -> Callable[..., Path]:
    """Writes a sweep file: by default a small right one, with `text` before it."""

    def write_file(text: str = "", name: str = "sweep.yaml", rest: str = SWEEP) -> Path:
        path = Path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + rest)
        return path

    return write_file


@pytest.fixture
def catalog(folder: Path) -> Catalog:
    """What the plug-in offers."""
    return load_catalog([folder / "mine.py"], package=None)
