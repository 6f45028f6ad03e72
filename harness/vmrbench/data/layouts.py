"""Where published code bases keep their features: written once here, so that nobody has to write it again.

Every layout is a table of data sets, each with named parts; a part is a `FeatureSource` whose path is relative to the
root folder. Sources of the facts are in docs/data.md.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import TypeAdapter, ValidationError

from vmrbench.data.features import FeatureSource
from vmrbench.errors import ConfigError, did_you_mean

Part = Mapping[str, Any]
LayoutName = Literal["moment_detr", "lighthouse", "univtg", "2dtan", "vslnet", "r2tuning", "ego4d", "snag", "mad"]

DROP_AVI = "drop_suffix .avi"


@dataclass(frozen=True, kw_only=True)
class FeatureLayout:
    """Features where a published code base keeps them.

    layout: the code base; dataset: of its data sets; root: its folder of features; parts: which ones, in the order in
    which clip features are put side by side, the published ones where empty; change: by part, keys of a feature source
    that differ, such as {clip: {clip_seconds: 1.0}}; a changed path is relative to the root.
    """

    layout: LayoutName
    dataset: str
    root: Path = field(metadata={"inside": "features_root"})
    parts: tuple[str, ...] = ()
    change: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    # Read by pydantic: a misspelt key is an error.
    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}


@dataclass(frozen=True, kw_only=True)
class KnownFeatures:
    """The parts of one data set in a layout, and which of them the authors use, in their order."""

    parts: Mapping[str, Part]
    published: tuple[str, ...]


def sources_of(chosen: FeatureLayout) -> tuple[FeatureSource, ...]:
    """The sources of a layout. Folders are found whatever the case of their names: published trees differ in it.

    Raises:
        ConfigError: an unknown data set or part, a part given twice, or a change that no source can have.
    """
    where = f"features: layout {chosen.layout!r}"
    datasets = LAYOUTS[chosen.layout]
    if chosen.dataset not in datasets:
        raise ConfigError(f"{where}: has no data set {chosen.dataset!r}{did_you_mean(chosen.dataset, datasets)}")
    known = datasets[chosen.dataset]
    parts = chosen.parts or known.published
    for part in [*parts, *chosen.change]:
        if part not in known.parts:
            raise ConfigError(f"{where}: {chosen.dataset!r} has no part {part!r}{did_you_mean(part, known.parts)}")
    for part in parts:
        if parts.count(part) > 1:
            raise ConfigError(f"{where}: part {part!r} is given twice")
    for part in chosen.change:
        if part not in parts:
            raise ConfigError(f"{where}: change: part {part!r} is not used; parts are {', '.join(parts)}")
    return tuple(
        _source({**known.parts[part], **chosen.change.get(part, {})}, chosen.root, f"{where}: change.{part}")
        for part in parts
    )


def _source(values: Part, root: Path, where: str) -> FeatureSource:
    placed = {**values, "path": str(_in_any_case(root, Path(str(values["path"]))))}
    try:
        # Through JSON, so that lists may stand for tuples and text for a path.
        return TypeAdapter(FeatureSource).validate_json(json.dumps(placed))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise ConfigError(f"{where}.{place}: {first['msg']}; found {first['input']!r}") from error


def _in_any_case(root: Path, relative: Path) -> Path:
    """The path below `root`; a folder or file whose name differs in case alone is taken where there is one."""
    place = root
    for name in relative.parts:
        exact = place / name
        if not exact.exists() and place.is_dir():
            alike = [item for item in place.iterdir() if item.name.casefold() == name.casefold()]
            exact = alike[0] if len(alike) == 1 else exact
        place = exact
    return place


def _slowfast(path: str, seconds: float) -> Part:
    return {"path": path, "encoder": "slowfast", "clip_seconds": seconds, "normalise": "l2"}


def _clip(path: str, seconds: float) -> Part:
    return {"path": path, "encoder": "clip_b32", "clip_seconds": seconds, "normalise": "l2"}


def _clip_text(path: str, pattern: str) -> Part:
    normalised = {"key": "last_hidden_state", "normalise": "l2"}
    return {"path": path, "encoder": "clip_text", "role": "text", "pattern": pattern, **normalised}


def _moment_detr(seconds: float, text: str) -> KnownFeatures:
    parts = {
        "slowfast": _slowfast("slowfast_features", seconds),
        "clip": _clip("clip_features", seconds),
        "text": _clip_text("clip_text_features", text),
    }
    return KnownFeatures(parts=parts, published=("slowfast", "clip", "text"))


def _lighthouse(folder: str, seconds: float, text: str) -> KnownFeatures:
    parts = {
        "clip": _clip(f"{folder}/clip", seconds),
        "slowfast": _slowfast(f"{folder}/slowfast", seconds),
        "resnet": {**_clip(f"{folder}/resnet", seconds), "encoder": "resnet152"},
        "pann": {**_clip(f"{folder}/pann", seconds), "encoder": "pann", "pattern": "{video_id}.npy"},
        "text": _clip_text(f"{folder}/clip_text", text),
    }
    return KnownFeatures(parts=parts, published=("clip", "slowfast", "text"))


def _univtg(folder: str, seconds: float) -> KnownFeatures:
    parts = {
        "slowfast": _slowfast(f"{folder}/vid_slowfast", seconds),
        "clip": _clip(f"{folder}/vid_clip", seconds),
        "text": _clip_text(f"{folder}/txt_clip", "{query_id}.npz"),
    }
    return KnownFeatures(parts=parts, published=("slowfast", "clip", "text"))


def _2dtan(path: str, encoder: str, **more: Any) -> KnownFeatures:
    part = {"path": path, "encoder": encoder, "clip_seconds": "video", "normalise": "l2", **more}
    return KnownFeatures(parts={"video": part}, published=("video",))


def _vslnet(task: str, org: str | None) -> KnownFeatures:
    rest = {"pattern": "{video_id}.npy", "clip_seconds": "video", "ids": [DROP_AVI]}
    parts = {"new": {"path": f"features/{task}/new", "encoder": "i3d", **rest}}
    if org is not None:
        parts["org"] = {"path": f"features/{task}/org", "encoder": org, **rest}
    return KnownFeatures(parts=parts, published=("new",))


def _r2tuning(folder: str, seconds: float, ids: tuple[str, ...] = ()) -> KnownFeatures:
    """Four layers of CLIP are stored, [T, 4, 50, 768] and [L, 4, 512]; the last layer is taken, and of a frame token 0.

    That is the class token before CLIP's last norm and projection; the published model reads all of them.
    """
    clip = {"path": f"{folder}/clip_b32_vid_k4", "encoder": "clip_b32", "pattern": "{video_id}.npy", "pick": [-1, 0]}
    text = {"path": f"{folder}/clip_b32_txt_k4", "encoder": "clip_text", "pattern": "{query_id}.npy", "pick": [-1]}
    parts: dict[str, Part] = {
        "clip": {**clip, "clip_seconds": seconds, "ids": list(ids)},
        "text": {**text, "role": "text"},
    }
    return KnownFeatures(parts=parts, published=("clip", "text"))


def _snag(
    video: Mapping[str, tuple[str, str]], frames: Part, *, text: Part | None = None, published: tuple[str, ...] = ()
) -> KnownFeatures:
    """video: part to folder and encoder; frames: stride and window. SnAG fills up shorter sources, here all are cut."""
    parts = {
        name: {"path": path, "encoder": encoder, "pattern": "{video_id}.npy", **frames}
        for name, (path, encoder) in video.items()
    }
    if text is not None:
        parts["text"] = {"role": "text", "pattern": "{query_id}.npy", **text}
    return KnownFeatures(parts=parts, published=published or tuple(parts))


def _mad() -> KnownFeatures:
    parts = {}
    for size, encoder in (("b32", "clip_b32"), ("l14", "clip_l14")):
        start = f"CLIP_{size.upper()}"
        text = {"encoder": f"{encoder}_text" if size == "l14" else "clip_text", "role": "text"}
        parts[size] = {"path": f"{start}_frames_features_5fps.h5", "encoder": encoder, "clip_seconds": 0.2}
        parts[f"text_{size}"] = {"path": f"{start}_language_tokens_features.h5", **text}
    return KnownFeatures(parts=parts, published=("b32", "text_b32"))


_C3D_FRAMES = {"stride_frames": 4.0, "window_frames": 16.0}
_SNAG_CHARADES = {
    "rgb": ("charades_sta/i3d_features/kinetics/rgb", "i3d"),
    "flow": ("charades_sta/i3d_features/kinetics/flow", "i3d_flow"),
    "c3d": ("charades_sta/c3d_features", "c3d"),
}
_SNAG_EGO4D_FRAMES = {"stride_frames": 16.0, "window_frames": 32.0}
_QID = "qid{query_id}.npz"
_BARE = "{query_id}.npz"

LAYOUTS: Mapping[LayoutName, Mapping[str, KnownFeatures]] = {
    "moment_detr": {
        "qvhighlights": _moment_detr(2.0, _QID),
        "charades": _moment_detr(1.0, _QID),
        "tacos": _moment_detr(2.0, _BARE),
        "ego4d": _moment_detr(2.0, _BARE),
    },
    "lighthouse": {
        "qvhighlights": _lighthouse("qvhighlight", 2.0, _QID),
        "charades": _lighthouse("charades", 1.0, _QID),
        "activitynet": _lighthouse("activitynet", 2.0, _QID),
        "tacos": _lighthouse("tacos", 2.0, _BARE),
    },
    "univtg": {
        "qvhighlights": _univtg("qvhighlights", 2.0),
        "charades": _univtg("charades", 1.0),
        "tacos": _univtg("tacos", 2.0),
        "ego4d": _univtg("ego4d", 2.0),
    },
    "2dtan": {
        "charades": _2dtan("Charades-STA/vgg_rgb_features.hdf5", "vgg16"),
        "tacos": _2dtan("TACoS/tall_c3d_features.hdf5", "c3d", ids=[DROP_AVI, "add_suffix .avi"]),
        "activitynet": _2dtan("ActivityNet/sub_activitynet_v1-3.c3d.hdf5", "c3d", key="c3d_features"),
    },
    "vslnet": {
        "charades": _vslnet("charades", None),
        "tacos": _vslnet("tacos", "c3d"),
        "activitynet": _vslnet("activitynet", "c3d"),
    },
    "r2tuning": {
        "qvhighlights": _r2tuning("qvhighlights", 2.0),
        "charades": _r2tuning("charades", 1.0),
        "tacos": _r2tuning("tacos", 2.0, (DROP_AVI, "add_suffix -cam-002")),
        "ego4d": _r2tuning("ego4d", 2.0),
    },
    "ego4d": {
        "nlq": KnownFeatures(
            parts={
                "slowfast": {
                    "path": ".",
                    "encoder": "slowfast",
                    "pattern": "{video_id}.pt",
                    "fps": 30.0,
                    # As VSLNet counts. Cut out of whole videos, row 0 has its centre anywhere in the first stride, on
                    # average in its middle, whatever the window was.
                    "stride_frames": 16.0,
                }
            },
            published=("slowfast",),
        )
    },
    "snag": {
        "tacos": _snag({"c3d": ("tacos/c3d_features", "c3d")}, {**_C3D_FRAMES, "take_every": 4}),
        "charades": _snag(_SNAG_CHARADES, _C3D_FRAMES, published=("rgb", "flow")),
        "activitynet": _snag({"c3d": ("anet_1.3/c3d_features", "c3d")}, {"stride_frames": 8.0, "window_frames": 16.0}),
        "ego4d": _snag(
            {"slowfast": ("ego4d/slowfast_features", "slowfast")},
            _SNAG_EGO4D_FRAMES,
            text={"path": "ego4d/bert_features", "encoder": "bert"},
        ),
        "mad": _snag(
            {"clip": ("mad/clip_features/video_5fps_512d", "clip_b32")},
            {"stride_frames": 1.0, "fps": 5.0},
            text={"path": "mad/clip_features/token_512d", "encoder": "clip_text"},
        ),
    },
    "mad": {"mad": _mad()},
}
