"""Memory of a whole `vmrbench run`, all of its processes together, backbone by backbone.

    python examples/run_memory.py                  # examples/hour.yaml: 22 minutes, more beside other work
    python examples/run_memory.py FILE --only snag

Writes reports/run_memory.md. A run is all that the sweep asks for: training of base models and arms, predictions,
counts, latency, report. It goes to a folder of its own, so that nothing stored is reused.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from vmrbench.catalog import load_catalog
from vmrbench.config import Cell, SweepConfig, load_config
from vmrbench.cost.machine import machine_facts, machine_line

CAP_BYTES, LOOK_SECONDS = 4_000_000_000, 0.1


@dataclass(frozen=True, kw_only=True)
class Peak:
    """What a run of one backbone needed.

    together: most resident bytes of all its processes at one time, pages that they share counted once for each;
    largest: of a single process; seconds: that it took; failure: its last line where it failed.
    """

    backbone: str
    together: int
    largest: int
    seconds: float
    failure: str | None = None


def measure(file: Path, backbone: str) -> Peak:
    with tempfile.TemporaryDirectory() as folder:
        places = [f"{name}={folder}/{name}" for name in ("store", "records")] + [f"report={folder}/report.md"]
        command = [sys.executable, "-m", "vmrbench", "run", str(file), "--only", f"backbone={backbone}"]
        command += [part for place in places for part in ("--set", place)]
        start, log = time.monotonic(), Path(folder, "log")
        with log.open("w") as said:
            run = subprocess.Popen(command, stdout=said, stderr=subprocess.STDOUT)
            seen = [*_looks(run)]
        lines = log.read_text().strip().splitlines()
    return Peak(
        backbone=backbone,
        together=max(map(sum, seen), default=0),
        largest=max(map(max, seen), default=0),
        seconds=time.monotonic() - start,
        failure=None if run.returncode == 0 else (lines or ["it said nothing"])[-1],
    )


def _looks(run: subprocess.Popen[bytes]) -> Iterator[list[int]]:
    """Resident bytes of every process of a run, again and again until it ends."""
    root = psutil.Process(run.pid)
    while run.poll() is None:
        held = []
        for process in [root, *root.children(recursive=True)]:
            with suppress(psutil.Error):  # It may have ended since.
                held.append(process.memory_info().rss)
        if held:
            yield held
        time.sleep(LOOK_SECONDS)


def page(config: SweepConfig, cells: Sequence[Cell], peaks: Sequence[Peak]) -> str:
    """Markdown: what was run, a row for every backbone, and whether all stay under the cap."""
    lines = ["| backbone | all processes, GB | largest process, GB | minutes |", "| --- | ---: | ---: | ---: |"]
    for peak in peaks:
        minutes = f"{peak.seconds / 60:.1f}" if peak.failure is None else f"failed: {peak.failure.replace('|', '/')}"
        lines.append(f"| `{peak.backbone}` | {peak.together / 1e9:.2f} | {peak.largest / 1e9:.2f} | {minutes} |")
    good = [peak for peak in peaks if peak.failure is None]
    under = [peak for peak in good if peak.together < CAP_BYTES]
    most = f"; the highest peak is {max(peak.together for peak in good) / 1e9:.2f} GB" if good else ""
    verdict = f"{len(under)} of {len(peaks)} runs stay under {CAP_BYTES / 1e9:g} GB{most}."
    launcher = config.file.launcher
    introduction = f"""\
`vmrbench run {config.path.name}`, a backbone at a time: arms {", ".join(f"`{arm}`" for arm in _ids(cells, "trimmer"))},
{cells[0].train.batch_size} queries a batch in training, {cells[0].train.eval_batch_size} elsewhere; launcher
`{launcher.name}`, options {dict(launcher.options)}. Resident memory of all processes of the run, looked at every
{LOOK_SECONDS:g} s; pages that processes share count once for each. Written by `python examples/run_memory.py`."""
    machine = f"Measured on {machine_line(machine_facts('cpu'))}."
    return "\n\n".join(["# Memory of whole runs", introduction, verdict, "\n".join(lines), machine]) + "\n"


def _ids(cells: Sequence[Cell], kind: str) -> list[str]:
    return list(dict.fromkeys(getattr(cell, kind).id for cell in cells))


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="What a whole run holds in memory, backbone by backbone.")
    parser.add_argument("file", nargs="?", type=Path, default=Path("examples/hour.yaml"), help="the sweep")
    parser.add_argument("--only", action="append", metavar="NAME", help="a backbone; repeatable")
    parser.add_argument("--out", type=Path, default=Path("reports/run_memory.md"))
    given = parser.parse_args(arguments)
    config = load_config(given.file)
    cells, peaks = config.resolve(load_catalog(config.plugins)), []
    for backbone in given.only or _ids(cells, "backbone"):
        print(backbone, file=sys.stderr)
        peaks.append(measure(given.file, backbone))
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(page(config, cells, peaks), encoding="utf-8")
    print(f"wrote {given.out}")


if __name__ == "__main__":
    main()
