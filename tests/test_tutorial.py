"""The tutorial's backbone: what the page shows is what the example files hold, and it conforms and is found."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from vmrbench.catalog import Catalog, load_catalog
from vmrbench.config import load_config
from vmrbench.specs import Dims
from vmrbench.testing.conformance import check_backbone

ROOT = Path(__file__).resolve().parents[1]
EXAMPLE, SWEEP = ROOT / "examples" / "my_backbone.py", ROOT / "examples" / "my_backbone.yaml"
PAGE = (ROOT / "docs" / "tutorial_backbone.md").read_text(encoding="utf-8")
MOST_LINES = 60


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


def catalog_of(path: Path) -> Catalog:
    return load_catalog([path], package=None)


def test_the_page_shows_the_example_file() -> None:
    assert blocks("python")[0] == EXAMPLE.read_text(encoding="utf-8")


def test_the_page_shows_the_example_sweep() -> None:
    assert blocks("yaml")[0] == SWEEP.read_text(encoding="utf-8")


def test_the_backbone_has_at_most_60_lines() -> None:
    assert len(EXAMPLE.read_text(encoding="utf-8").splitlines()) <= MOST_LINES


def test_the_backbone_conforms() -> None:
    check_backbone(catalog_of(EXAMPLE).backbones["my_backbone"].spec, Dims(video=16, text=12))


def test_the_check_on_the_page_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)

    exec(compile(blocks("python")[1], "docs/tutorial_backbone.md", "exec"), {})


def test_the_backbone_with_the_method_for_distillation_conforms(tmp_path: Path) -> None:
    method = blocks("python")[2]
    text = EXAMPLE.read_text(encoding="utf-8").replace("AxisMoments, Batch\n", "AxisMoments, Batch, DistillTargets\n")
    text = text.replace('{"encode"}', '{"encode", "distill"}').replace("    def predict", f"{method}\n    def predict")
    (tmp_path / "distils.py").write_text(text)

    check_backbone(catalog_of(tmp_path / "distils.py").backbones["my_backbone"].spec, Dims(video=16, text=12))


def test_the_example_sweep_finds_the_backbone_through_its_plugins() -> None:
    config = load_config(SWEEP)

    cells = config.resolve(load_catalog(config.plugins))

    assert {cell.backbone.offer.spec.name for cell in cells} == {"my_backbone"}
    assert {cell.backbone.offer.origin for cell in cells} == {"file"}
