"""Fixtures of the whole suite."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from types import ModuleType

import pytest
import torch
from hypothesis import settings

from vmrbench.report import page

SHARED = "VMRBENCH_SHARED"

# What the tests of Moment-DETR's relatives share are no test modules themselves.
pytest.register_assert_rewrite("detr_golden", "double_precision")

# A busy machine is no reason to fail: timings are never asserted.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """Tensors as small as here are slower on several threads, and these round sums otherwise than the stored cases."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def shared_dir() -> Path:
    """Folder of golden fixtures and real data; the test is skipped where it is absent (a failure if required)."""
    folder = Path(os.environ.get(SHARED, Path(__file__).resolve().parents[2] / "shared"))
    if folder.is_dir():
        return folder
    reason = f"golden fixtures and real data are not at {folder}; set {SHARED} to their folder"
    if os.environ.get("VMRBENCH_REQUIRE_SHARED") == "1":
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def without_pictures() -> Callable[[], AbstractContextManager[None]]:
    """Inside it reports have no pictures: drawing them takes as long as a tiny sweep, and tests of reports do draw."""

    @contextmanager
    def inside() -> Iterator[None]:
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(page, "figures", lambda summary: ())
            yield

    return inside


@pytest.fixture(scope="session")
def load_example() -> Callable[[str], ModuleType]:
    """Imports a script of `examples/` by its name."""

    def load(name: str) -> ModuleType:
        spec = importlib.util.spec_from_file_location(name, Path(__file__).parents[1] / "examples" / f"{name}.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module  # Dataclasses look their module up.
        spec.loader.exec_module(module)
        return module

    return load
