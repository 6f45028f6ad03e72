"""What plug-ins offer. Every implementation is called by itself, so that an error names the plug-in to blame."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pluggy

from vmrbench import hookspecs, specs
from vmrbench.config.options import make_options
from vmrbench.errors import ConfigError, PluginError, UserError, did_you_mean
from vmrbench.plugin_sources import FIRST_PARTY, Source, find_sources

__all__ = ["KINDS", "Catalog", "Offer", "load_catalog", "make_options"]

KINDS: Mapping[str, Any] = {
    "backbone": specs.BackboneSpec,
    "trimmer": specs.TrimmerSpec,
    "dataset": specs.DatasetSpec,
    "encoder": specs.EncoderSpec,
    "metric": specs.MetricSpec,
    "probe": specs.ProbeSpec,
    "reporter": specs.ReporterSpec,
    "launcher": specs.LauncherSpec,
}
_COLLECTIONS = {f"vmr_{kind}s" for kind in KINDS}
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@-]*")


@dataclass(frozen=True, kw_only=True)
class Offer:
    """A spec and who offers it.

    plugin: module or file, as errors name it; origin: first-party, installed, module or file; version: of the
    distribution, None for a file; file_sha256: of the plug-in's module, None where it has no file.
    """

    spec: Any
    plugin: str
    origin: str
    version: str | None
    file_sha256: str | None


class Catalog:
    """The offers of all plug-ins, by kind and name; a hook is called when its kind is first asked for."""

    def __init__(self, manager: pluggy.PluginManager, sources: Mapping[str, Source]) -> None:
        self._manager = manager
        self._sources = sources
        self._offers: dict[str, Mapping[str, Offer]] = {}

    def offers(self, kind: str) -> Mapping[str, Offer]:
        """All offers of one of `KINDS`, by name.

        Raises:
            PluginError: a plug-in raised, offered something else than a spec, or a name that is taken.
        """
        if kind not in KINDS:
            raise ConfigError(f"no kind of plug-in is named {kind!r}{did_you_mean(kind, KINDS)}")
        if kind not in self._offers:
            self._offers[kind] = self._ask(kind)
        return self._offers[kind]

    def pick(self, kind: str, name: str, where: str | None = None) -> Offer:
        """The offer of that name; `where` is the prefix of the error.

        Raises:
            ConfigError: there is none; the nearest name is given.
            PluginError: see `offers`.
        """
        offers = self.offers(kind)
        if name not in offers:
            prefix = "" if where is None else f"{where}: "
            raise ConfigError(f"{prefix}no {kind} is named {name!r}{did_you_mean(name, offers)}")
        return offers[name]

    @property
    def backbones(self) -> Mapping[str, Offer]:
        """Backbones by name."""
        return self.offers("backbone")

    @property
    def trimmers(self) -> Mapping[str, Offer]:
        """Trimmers by name."""
        return self.offers("trimmer")

    @property
    def datasets(self) -> Mapping[str, Offer]:
        """Data sets by name."""
        return self.offers("dataset")

    @property
    def encoders(self) -> Mapping[str, Offer]:
        """Encoders by name."""
        return self.offers("encoder")

    @property
    def metrics(self) -> Mapping[str, Offer]:
        """Metrics by name."""
        return self.offers("metric")

    @property
    def probes(self) -> Mapping[str, Offer]:
        """Probes by name."""
        return self.offers("probe")

    @property
    def reporters(self) -> Mapping[str, Offer]:
        """Reporters by name."""
        return self.offers("reporter")

    @property
    def launchers(self) -> Mapping[str, Offer]:
        """Launchers by name."""
        return self.offers("launcher")

    def describe_machine(self) -> dict[str, Any]:
        """Machine facts of all plug-ins in one mapping.

        Raises:
            PluginError: a plug-in raised, gave no mapping, or a key that another one gave.
        """
        facts: dict[str, Any] = {}
        for plugin, given in self._call("vmr_describe_machine"):
            if not isinstance(given, Mapping):
                raise PluginError(f"{plugin}: vmr_describe_machine() gave {given!r}; expected a mapping")
            taken = sorted(facts.keys() & given.keys())
            if taken:
                raise PluginError(f"{plugin}: vmr_describe_machine() gave {taken[0]!r}, which another plug-in gave")
            facts |= given
        return facts

    def run_starting(self, cell: Mapping[str, Any]) -> None:
        """Tell every plug-in that a cell is about to run."""
        self._call("vmr_run_starting", cell=cell)

    def run_finished(self, record: Mapping[str, Any]) -> None:
        """Tell every plug-in that a cell has its record."""
        self._call("vmr_run_finished", record=record)

    def _ask(self, kind: str) -> dict[str, Offer]:
        hook = f"vmr_{kind}s"
        found: dict[str, Offer] = {}
        for plugin, given in self._call(hook):
            for spec in given:
                _check_spec(spec, kind, f"{plugin}: {hook}()")
                if spec.name in found:
                    both = f"by {found[spec.name].plugin} and by {plugin}"
                    raise PluginError(f"{kind} {spec.name!r} is offered twice: {both}; rename or remove one")
                found[spec.name] = _offer(spec, self._sources[plugin])
        return found

    def _call(self, hook: str, **arguments: Any) -> list[tuple[str, Any]]:
        """Plug-in and result of every implementation of a hook; what they give lazily is drawn here."""
        results = []
        for impl in getattr(self._manager.hook, hook).get_hookimpls():
            given = {name: arguments[name] for name in impl.argnames}
            try:
                result = impl.function(**given)
                if hook in _COLLECTIONS:
                    result = list(result)
            except UserError as error:
                raise PluginError(f"{impl.plugin_name}: {hook}() failed: {error}") from error
            except Exception as error:
                raise PluginError(f"{impl.plugin_name}: {hook}() failed: {one_line(error)}") from error
            results.append((impl.plugin_name, result))
        return results


def load_catalog(files: Sequence[Path | str] = (), *, package: str | None = FIRST_PARTY) -> Catalog:
    """Find plug-ins: first-party modules, installed packages (entry-point group `vmrbench`), then `files`.

    Args:
        files: paths of Python files, or names of importable modules.
        package: where first-party modules are, None for none.

    Raises:
        PluginError: one cannot be imported, or has a hook that does not exist; names the plug-in.
    """
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    sources: dict[str, Source] = {}
    for source in find_sources(files, package):
        _check_hooks(source)
        try:
            manager.register(source.module, name=source.plugin)
        except pluggy.PluginValidationError as error:
            raise PluginError(f"{source.plugin}: {one_line(error)}") from error
        except ValueError as error:
            raise PluginError(f"{source.plugin}: is named twice; leave one out") from error
        sources[source.plugin] = source
    return Catalog(manager, sources)


def one_line(error: BaseException) -> str:
    """An error as one line, with its type where the message alone says nothing."""
    lines = str(error).strip().splitlines()
    if not lines:
        return type(error).__name__
    return f"missing key {lines[0]}" if isinstance(error, KeyError) else lines[0]


def _check_hooks(source: Source) -> None:
    """A misspelt hook, or one without its decorator, would otherwise be passed over in silence."""
    known = [name for name in vars(hookspecs) if name.startswith("vmr_")]
    for name, value in vars(source.module).items():
        marked = getattr(value, f"{hookspecs.PROJECT}_impl", None)
        if marked is not None and (marked.get("specname") or name) not in known:
            raise PluginError(f"{source.plugin}: there is no hook named {name!r}{did_you_mean(name, known)}")
        if marked is None and name in known and callable(value):
            raise PluginError(f"{source.plugin}: {name}() is not marked as a hook; put @hookimpl above it")


def _check_spec(spec: Any, kind: str, who: str) -> None:
    expected = KINDS[kind]
    if not isinstance(spec, expected):
        raise PluginError(f"{who} gave a {type(spec).__name__}; expected {expected.__name__}")
    if not _NAME.fullmatch(spec.name):
        raise PluginError(f"{who} gave the name {spec.name!r}; expected letters a-z, digits, '_', '.' and '-'")
    options = getattr(spec, "options", None)
    has_options = any(item.name == "options" for item in dataclasses.fields(expected))
    if has_options and not (isinstance(options, type) and dataclasses.is_dataclass(options)):
        raise PluginError(f"{who}: options of {spec.name!r} are {options!r}; expected a dataclass")


def _offer(spec: Any, source: Source) -> Offer:
    return Offer(
        spec=spec,
        plugin=source.plugin,
        origin=source.origin,
        version=source.version,
        file_sha256=source.file_sha256,
    )
