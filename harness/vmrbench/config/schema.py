"""The keys of benchmarks.yaml: pydantic models, strict, nothing beside them allowed."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from vmrbench.config.settings import CostConfig, Device, Precision, TrainConfig, WindowConfig
from vmrbench.option_types import Count, KeepRatio

Id = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_.-]*$")]
FillName = Literal["concat_zero", "adapter", "zero", "hold"]
PlanName = Literal["query", "union_mean", "union_max"]
ApplyName = Literal["fill", "gather", "windows"]
OptionValues = Annotated[dict[str, Any], Field(description="Options of the plug-in, by name; see `vmrbench ls`.")]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, protected_namespaces=())


class Item(_Part):
    """A plug-in by name, under an id of its own."""

    name: Annotated[str, Field(description="Name of the plug-in; see `vmrbench ls`.")]
    id: Annotated[
        Id | None, Field(description="Name of this entry in reports and `--only`; the plug-in's by default.")
    ] = None
    options: OptionValues = {}
    each: Annotated[
        dict[str, list[Any]],
        Field(description="Options with lists of values: one entry for every value, with `_<value>` after its id."),
    ] = {}

    @property
    def label(self) -> str:
        """The id, or the name where no id is given."""
        return self.id or self.name


class DatasetItem(Item):
    """A data set of the sweep."""


class BackboneItem(Item):
    """A backbone of the sweep."""

    preset: Annotated[str | None, Field(description="Named set of options that `options` starts from.")] = None
    weights: Annotated[str | None, Field(description="Weight file to start from; see `vmrbench weights import`.")] = (
        None
    )
    train: Annotated[TrainConfig, Field(description="Overrides of the top-level `train`.")] = TrainConfig()
    train_as_preset: Annotated[
        bool, Field(description="Train as the preset was trained: its settings go before the top-level `train`.")
    ] = False


class TrimmerItem(Item):
    """A trimmer of the sweep."""

    preset: Annotated[str | None, Field(description="Named set of options that `options` starts from.")] = None
    fill: Annotated[
        FillName | None,
        Field(description="What stands in for clips without expensive features; concat_zero by default."),
    ] = None
    plan: Annotated[
        PlanName, Field(description="Clips for each query alone, or one set for all queries of a video.")
    ] = "query"
    apply: Annotated[
        ApplyName,
        Field(
            description="fill: the whole timeline stays; gather: rows of clips that were not kept are removed; "
            "windows: contiguous windows, read at a finer stride."
        ),
    ] = "fill"
    windows: Annotated[
        WindowConfig, Field(description="How windows are cut and merged; read under apply: windows.")
    ] = WindowConfig()
    freeze_backbone: Annotated[
        bool, Field(description="Only trimmer and fill learn in the extra epochs; the backbone keeps its weights.")
    ] = False
    train_ratios: Annotated[
        list[KeepRatio] | None,
        Field(
            min_length=1,
            description="Keep ratios that training draws from, a batch at a time, so that one model serves any; "
            "`keep_ratio` is then that of the test alone.",
        ),
    ] = None
    adaptive_budget: Annotated[
        bool,
        Field(
            description="At test keep more clips for one query than for another: those above a threshold that meets "
            "`keep_ratio` on average on the validation split."
        ),
    ] = False
    train: Annotated[TrainConfig, Field(description="Overrides of `train`, after those of the backbone.")] = (
        TrainConfig()
    )


class ProbeItem(Item):
    """A probe of every cell: it predicts once more with changed inputs."""


class LauncherItem(_Part):
    """Where cells run."""

    name: Annotated[str, Field(description="Name of the launcher; see `vmrbench ls launchers`.")] = "inline"
    options: OptionValues = {}


class SweepFile(_Part):
    """A sweep: every data set x backbone x trimmer x seed is one cell."""

    inherit: Annotated[
        str | None, Field(description="Another YAML file; mappings are merged with it, lists are replaced.")
    ] = None
    name: Annotated[Id, Field(description="Name of the sweep, used for its records.")] = "bench"
    seeds: Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1, description="One run a seed.")] = [0]
    device: Annotated[Device, Field(description="auto, cpu, cuda or cuda:0; auto is CUDA where there is one.")] = "auto"
    precision: Annotated[Precision, Field(description="Floating-point type of forward passes.")] = "fp32"
    compile: Annotated[
        bool, Field(description="Compile the backbone with torch.compile where it predicts and is timed.")
    ] = False
    protocol: Annotated[str, Field(description="Evaluation protocol.")] = "vmrbench-v1"
    store: Annotated[str, Field(description="Folder of the runs.")] = "reports/runs"
    report: Annotated[str, Field(description="The Markdown report that is written.")] = "reports/README.md"
    records: Annotated[str, Field(description="Folder of compact sweep records.")] = "reports/records"
    plugins: Annotated[list[str], Field(description="Plug-ins: Python files (paths) or importable modules.")] = []
    train: Annotated[TrainConfig, Field(description="How every cell is trained.")] = TrainConfig()
    cost: Annotated[CostConfig, Field(description="How cost is measured.")] = CostConfig()
    launcher: Annotated[LauncherItem, Field(description="Where cells run.")] = LauncherItem()
    datasets: Annotated[list[DatasetItem], Field(min_length=1)]
    backbones: Annotated[list[BackboneItem], Field(min_length=1)]
    trimmers: Annotated[list[TrimmerItem], Field(min_length=1)]
    probes: Annotated[
        list[ProbeItem], Field(description="Changed inputs that every cell predicts too; see `vmrbench ls probes`.")
    ] = []
    limit: Annotated[
        Count | None, Field(description="Largest number of queries a split; stamps results NOT REPORTABLE.")
    ] = None


def schema_text() -> str:
    """The JSON Schema of the file, as it is stored in docs/benchmarks.schema.json."""
    schema = SweepFile.model_json_schema()
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "vmrbench sweep"}
    _drop_override_defaults(schema)
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def _drop_override_defaults(schema: dict[str, Any]) -> None:
    """Overrides are empty by default, whatever the model that checks them says; a file may inherit its lists."""
    for name in ("BackboneItem", "TrimmerItem"):
        schema["$defs"][name]["properties"]["train"]["default"] = {}
    schema["anyOf"] = [{"required": schema.pop("required")}, {"required": ["inherit"]}]
