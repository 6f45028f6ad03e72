"""How fast features are read: npz files one by one against the memory-mapped cache, cold and from the page cache.

Makes features of its own in a temporary folder, reads every video of a data set once an arm, and prints a Markdown
table of medians over rounds. Arms take turns, so that a machine that slows down slows all of them.

    python examples/feature_throughput.py --videos 300 --rows 75 --width 2816 --rounds 5

*Cold* drops the files from the page cache before every round, where the system offers that (Linux); elsewhere only the
arms that read from memory are shown. What is dropped are the pages of the system: disks have caches of their own.
"""

from __future__ import annotations

import argparse
import gc
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from vmrbench.cost.machine import machine_facts, machine_line
from vmrbench.data.features import FeatureSource
from vmrbench.data.packed import CacheChoice
from vmrbench.data.provider import FilesProvider
from vmrbench.data.query_words import WordVectors
from vmrbench.data.rows import Tolerance
from vmrbench.types import Annotation

CLIP_SECONDS = 2.0


@dataclass(frozen=True, kw_only=True)
class Arm:
    """One way to read every video once. prepare: done before the clock starts; read: gives bytes of features."""

    name: str
    prepare: Callable[[], None]
    read: Callable[[], int]


def make_features(folder: Path, *, videos: int, rows: int, width: int, compress: bool) -> None:
    """An npz for each video, fp32 random numbers."""
    rng = np.random.default_rng(0)
    save = np.savez_compressed if compress else np.savez
    for video in range(videos):
        save(folder / f"v{video}.npz", features=rng.standard_normal((rows, width), dtype=np.float32))


def make_annotations(videos: int, rows: int) -> list[Annotation]:
    """A query for each video."""
    return [
        Annotation(
            sample_id=str(video),
            video_id=f"v{video}",
            sentence="a",
            duration=rows * CLIP_SECONDS,
            moments=((0.0, CLIP_SECONDS),),
        )
        for video in range(videos)
    ]


def provider(folder: Path, annotations: Sequence[Annotation], cache: Path | None) -> FilesProvider:
    """What a sweep reads with."""
    source = FeatureSource(path=folder, encoder="c3d", clip_seconds=CLIP_SECONDS)
    chosen = None if cache is None else CacheChoice(folder=cache)
    return FilesProvider(annotations, [source], WordVectors(None), Tolerance(), chosen)


def read_plainly(folder: Path, annotations: Sequence[Annotation]) -> int:
    """The shortest code that reads npz files one by one, without any check."""
    size = 0
    for annotation in annotations:
        with np.load(folder / f"{annotation.video_id}.npz", allow_pickle=False) as archive:
            size += torch.from_numpy(archive["features"]).nbytes
    return size


def read_samples(reader: FilesProvider, annotations: Sequence[Annotation]) -> int:
    """Every sample, checked as in a sweep."""
    return sum(reader.sample(annotation).clips.nbytes for annotation in annotations)


def drop_pages(*folders: Path) -> None:
    """Ask the system to forget the pages of every file; those that something still maps would stay."""
    gc.collect()
    for folder in folders:
        for file in folder.rglob("*"):
            if file.is_file():
                handle = os.open(file, os.O_RDONLY)
                try:
                    os.fsync(handle)
                    os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
                finally:
                    os.close(handle)


def arms_of(features: Path, cache: Path, annotations: Sequence[Annotation]) -> list[Arm]:
    """Plain numpy, the provider from files, the provider from the cache; each cold where possible, and warm."""
    read_samples(provider(features, annotations, cache), annotations)  # The cache is written here, once.

    def anew(where: Path | None) -> Callable[[], int]:
        # A new provider each time: the old one remembers the videos read last.
        return lambda: read_samples(provider(features, annotations, where), annotations)

    ways: list[tuple[str, Callable[[], int]]] = [
        ("npz one by one, numpy alone", lambda: read_plainly(features, annotations)),
        ("npz one by one, checked", anew(None)),
        ("memory-mapped cache", anew(cache)),
    ]
    arms = [Arm(name=f"{name}, warm", prepare=lambda: None, read=read) for name, read in ways]
    if hasattr(os, "posix_fadvise"):
        arms += [
            Arm(name=f"{name}, cold", prepare=lambda: drop_pages(features, cache), read=read) for name, read in ways
        ]
    return arms


def measure(arms: Sequence[Arm], rounds: int) -> dict[str, list[tuple[float, int]]]:
    """Seconds and bytes of every round; each round starts with another arm."""
    taken: dict[str, list[tuple[float, int]]] = {arm.name: [] for arm in arms}
    for number in range(rounds):
        first = number % len(arms)
        for arm in [*arms[first:], *arms[:first]]:
            if arm.name.endswith("warm"):
                arm.read()  # Another arm may have dropped the pages.
            arm.prepare()
            start = time.perf_counter()
            size = arm.read()
            taken[arm.name].append((time.perf_counter() - start, size))
    return taken


def table(taken: dict[str, list[tuple[float, int]]], samples: int) -> str:
    """A row an arm: medians, with the lowest and the highest round in brackets."""
    lines = ["| arm | GB/s | samples/s | n |", "| --- | ---: | ---: | ---: |"]
    for name, rounds in taken.items():
        rates = [size / seconds / 1e9 for seconds, size in rounds]
        counts = [samples / seconds for seconds, _ in rounds]
        lines.append(f"| {name} | {_spread(rates, 3)} | {_spread(counts, 0)} | {len(rounds)} |")
    return "\n".join(lines)


def _spread(values: Sequence[float], digits: int) -> str:
    return f"{statistics.median(values):.{digits}f} [{min(values):.{digits}f}, {max(values):.{digits}f}]"


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--videos", type=int, default=300)
    parser.add_argument("--rows", type=int, default=75, help="rows of a video")
    parser.add_argument("--width", type=int, default=2816, help="width of a row")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--compress", action="store_true", help="npz as np.savez_compressed writes it")
    parser.add_argument("--folder", type=Path, help="where the temporary folder is made; choose the disk to measure")
    chosen = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(dir=chosen.folder) as name:
        features, cache = Path(name) / "features", Path(name) / "cache"
        features.mkdir()
        shape = {"videos": chosen.videos, "rows": chosen.rows, "width": chosen.width}
        make_features(features, **shape, compress=chosen.compress)
        annotations = make_annotations(chosen.videos, chosen.rows)
        taken = measure(arms_of(features, cache, annotations), chosen.rounds)
    kind = "compressed" if chosen.compress else "stored"
    print(f"# How fast features are read\n\n{table(taken, chosen.videos)}\n")
    print(f"{chosen.videos} videos of {chosen.rows} x {chosen.width} fp32, npz {kind}; medians [lowest, highest],")
    print(f"on {machine_line(machine_facts())}. By `python examples/feature_throughput.py`.")


if __name__ == "__main__":
    main(sys.argv[1:])
