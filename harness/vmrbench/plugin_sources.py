"""Where plug-ins come from: first-party modules, installed packages, and files or modules the user names."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import pkgutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from types import ModuleType

from vmrbench import __version__
from vmrbench.errors import PluginError
from vmrbench.hookspecs import PROJECT

FIRST_PARTY = "vmrbench_plugins"


@dataclass(frozen=True, kw_only=True)
class Source:
    """An imported plug-in; see `vmrbench.catalog.Offer` for the fields."""

    plugin: str
    origin: str
    module: ModuleType
    version: str | None

    @property
    def file_sha256(self) -> str | None:
        """SHA-256 of the module's file."""
        path = getattr(self.module, "__file__", None)
        return None if path is None else hashlib.sha256(Path(path).read_bytes()).hexdigest()


def find_sources(named: Sequence[Path | str], package: str | None = FIRST_PARTY) -> Iterator[Source]:
    """Import every plug-in, in the order in which names are taken.

    Raises:
        PluginError: a plug-in that is not there or cannot be imported.
    """
    if package is not None:
        yield from _first_party(package)
    yield from _installed()
    for name in named:
        yield _from_file(Path(name)) if is_file_name(name) else _from_module(str(name))


def _first_party(package: str) -> Iterator[Source]:
    # Named as text: the harness knows where first-party plug-ins live, never what they are called.
    folders = importlib.import_module(package).__path__
    for found in sorted(pkgutil.iter_modules(folders), key=lambda item: item.name):
        if not found.name.startswith("_"):
            name = f"{package}.{found.name}"
            yield Source(plugin=name, origin="first-party", module=_imported(name), version=__version__)


def _installed() -> Iterator[Source]:
    for entry in sorted(metadata.entry_points(group=PROJECT), key=lambda item: item.name):
        plugin = entry.value
        try:
            module = entry.load()
        except Exception as error:
            raise PluginError(f"{plugin}: could not be imported: {_reason(error)}") from error
        version = None if entry.dist is None else entry.dist.version
        yield Source(plugin=plugin, origin="installed", module=module, version=version)


def _from_module(name: str) -> Source:
    module = _imported(name)
    return Source(plugin=name, origin="module", module=module, version=getattr(module, "__version__", None))


def _from_file(path: Path) -> Source:
    plugin = _shown(path)
    if not path.is_file():
        raise PluginError(f"{plugin}: there is no such file; 'plugins:' takes Python files and module names")
    resolved = path.resolve()
    name = f"_{PROJECT}_{path.stem}_{hashlib.sha256(str(resolved).encode()).hexdigest()[:8]}"
    spec = importlib.util.spec_from_file_location(name, resolved)
    if spec is None or spec.loader is None:
        raise PluginError(f"{plugin}: is not a Python file; 'plugins:' takes Python files and module names")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # Dataclasses look their module up while they are defined.
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        raise PluginError(f"{plugin}: could not be imported: {_reason(error)}") from error
    return Source(plugin=plugin, origin="file", module=module, version=None)


def _imported(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except Exception as error:
        raise PluginError(f"{name}: could not be imported: {_reason(error)}") from error


def is_file_name(name: Path | str) -> bool:
    """Whether a plug-in is named by its file; otherwise it is a module."""
    return isinstance(name, Path) or name.endswith(".py") or "/" in name


def _shown(path: Path) -> str:
    """The path as a user would write it: relative to the working directory where it lies inside."""
    absolute = path.absolute()
    here = Path.cwd()
    return str(absolute.relative_to(here)) if absolute.is_relative_to(here) else str(path)


def _reason(error: Exception) -> str:
    return str(error).strip().split("\n")[0] or type(error).__name__
