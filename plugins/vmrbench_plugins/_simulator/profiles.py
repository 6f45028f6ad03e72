"""The data sets that the simulator imitates: target statistics, quantiles and the size of a video's world.

Statistics and quantiles are measured on the public training annotations: Charades-STA and TACoS as released in the
`jsonl` files of Lighthouse (https://github.com/line/lighthouse), ActivityNet Captions `train.json`. A moment that
ends after its video is cut at the end; no video is shorter than 4 s (ActivityNet has a few). `long` imitates no data
set: its numbers are chosen.
"""

from __future__ import annotations

from dataclasses import dataclass

PERCENTS = (0, 1, 5, 10, 25, 50, 75, 90, 95, 97.5, 99, 99.9, 100)


@dataclass(frozen=True, kw_only=True)
class Target:
    """Published statistics of a training split, which generated annotations are tested against.

    duration: mean, median, 95th percentile, seconds, over videos; moment: mean, median, seconds; fraction: mean,
    median of moment length by video length; start_histogram: share of moments that start in each fifth of the
    video; start_at_zero: share that starts in the first 2 %; all but the first over queries.
    """

    duration: tuple[float, float, float]
    moment: tuple[float, float]
    fraction: tuple[float, float]
    start_histogram: tuple[float, float, float, float, float]
    start_at_zero: float


@dataclass(frozen=True, kw_only=True)
class Profile:
    """How a simulated data set is drawn.

    durations, fractions: quantiles at `PERCENTS`, joined by straight lines; fractions of the video length, or
    seconds where `fractions_are_seconds`; videos, queries: published counts of train, val, test; events: drawn
    events a video (any of them can be queried; filler is added where a video is empty); object_groups,
    action_groups: categories that one video's objects and actions come from; clip_seconds: length of a clip row;
    encoder: name of the clip encoder that the expensive features stand for.
    """

    name: str
    target: Target
    durations: tuple[float, ...]
    fractions: tuple[float, ...]
    fractions_are_seconds: bool = False
    videos: tuple[int, int, int]
    queries: tuple[int, int, int]
    events: int
    object_groups: int
    action_groups: int
    clip_seconds: float
    encoder: str


CHARADES = Profile(
    name="charades",
    target=Target(
        duration=(30.9, 30.7, 42.9),
        moment=(8.2, 7.3),
        fraction=(0.269, 0.251),
        start_histogram=(0.41, 0.17, 0.18, 0.18, 0.06),
        start_at_zero=0.22,
    ),
    durations=(5.5, 12.8, 18.3, 21.9, 27.9, 30.7, 32.5, 37.8, 42.9, 50.5, 60.2, 133.6, 194.3),
    fractions=(0.034, 0.084, 0.129, 0.151, 0.190, 0.251, 0.342, 0.422, 0.458, 0.476, 0.491, 0.501, 0.508),
    videos=(5336, 333, 1334),
    queries=(12404, 859, 3720),
    events=4,
    object_groups=1,
    action_groups=1,
    clip_seconds=1.0,
    encoder="i3d",
)

ACTIVITYNET = Profile(
    name="activitynet",
    target=Target(
        duration=(117.3, 113.9, 224.1),
        moment=(35.5, 21.2),
        fraction=(0.306, 0.225),
        start_histogram=(0.45, 0.17, 0.13, 0.13, 0.11),
        start_at_zero=0.25,
    ),
    durations=(4.0, 8.0, 18.2, 30.3, 61.6, 113.9, 172.6, 210.6, 224.1, 231.8, 236.6, 306.6, 755.1),
    fractions=(0.005, 0.010, 0.025, 0.040, 0.095, 0.225, 0.445, 0.725, 0.930, 1.0, 1.0, 1.0, 1.0),
    videos=(10009, 4917, 4885),
    queries=(37421, 17505, 17031),
    events=5,
    object_groups=2,
    action_groups=1,
    clip_seconds=2.0,
    encoder="c3d",
)

TACOS = Profile(
    name="tacos",
    target=Target(
        duration=(223.6, 158.7, 552.1),
        moment=(23.3, 10.8),
        fraction=(0.102, 0.062),
        start_histogram=(0.38, 0.23, 0.15, 0.12, 0.12),
        start_at_zero=0.03,
    ),
    durations=(51.5, 53.4, 62.2, 77.6, 104.4, 158.7, 242.0, 423.7, 552.1, 775.7, 1201.4, 1382.1, 1402.2),
    fractions=(0.0008, 0.0049, 0.0119, 0.0170, 0.0311, 0.0619, 0.125, 0.242, 0.345, 0.436, 0.508, 0.725, 0.834),
    videos=(75, 27, 25),
    queries=(9790, 4436, 4001),
    events=12,
    object_groups=3,
    action_groups=2,
    clip_seconds=3.0,
    encoder="c3d",
)

LONG = Profile(
    name="long",
    target=Target(
        duration=(2700.0, 2700.0, 3510.0),
        moment=(25.0, 22.5),
        fraction=(0.0095, 0.0083),
        start_histogram=(0.2, 0.2, 0.2, 0.2, 0.2),
        start_at_zero=0.02,
    ),
    durations=(1800.0, 1818.0, 1890.0, 1980.0, 2250.0, 2700.0, 3150.0, 3420.0, 3510.0, 3555.0, 3582.0, 3598.0, 3600.0),
    fractions=(5.0, 5.5, 7.0, 9.0, 14.0, 22.5, 34.0, 45.0, 51.0, 55.0, 58.0, 59.8, 60.0),
    fractions_are_seconds=True,
    videos=(200, 40, 40),
    queries=(6000, 1200, 1200),
    events=40,
    object_groups=4,
    action_groups=3,
    clip_seconds=8.0,
    encoder="clip_b32",
)

PROFILES = {profile.name: profile for profile in (CHARADES, ACTIVITYNET, TACOS, LONG)}
