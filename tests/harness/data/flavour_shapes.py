"""One small file of every flavour, in its exact published shape, for the tests of annotation readers."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vmrbench.data.flavours.options import FlavourOptions

Options = dict[str, Any]


@dataclass(frozen=True)
class Shape:
    """A file's content: JSON lines where `lines`, else a document, else text as it stands."""

    content: Any
    lines: bool = False
    options: Options = field(default_factory=dict)
    durations: str | bytes = ""

    def written(self) -> str:
        if isinstance(self.content, str):
            return self.content
        # QVHighlights' files have no newline at the end.
        return "\n".join(map(json.dumps, self.content)) if self.lines else json.dumps(self.content)

    def write(self, folder: Path) -> tuple[Path, FlavourOptions]:
        """The file, under a name that says nothing, and the options it needs."""
        path = folder / "annotations"
        path.write_text(self.written(), encoding="utf-8")
        options = dict(self.options)
        if self.durations:
            lengths = folder / "durations"
            lengths.write_bytes(self.durations.encode() if isinstance(self.durations, str) else self.durations)
            options["durations"] = (lengths,)
        return path, FlavourOptions(**options)


QVHIGHLIGHTS = [
    {
        "qid": 8737,
        "query": "A family is playing basketball together on a green court outside.",
        "duration": 126,
        "vid": "bP5KfdFJzC4_660.0_810.0",
        "relevant_windows": [[0, 4], [10, 12]],
        "relevant_clip_ids": [0, 1, 5],
        "saliency_scores": [[4, 1, 1], [4, 1, 1], [4, 2, 1]],
    },
    {
        "qid": 3158,
        "query": "A video covering hill and water from a boat",
        "duration": 150,
        "vid": "_6hnl_BrFvs_360.0_510.0",
        "relevant_clip_ids": [35, 36],
        "saliency_scores": [[0, 3, 2], [3, 4, 3]],
        "relevant_windows": [[70, 74]],
    },
]

TVR = [
    {
        "qid": "s30-d52_0",
        "query": "She took out kiwi",
        "duration": 249.8639455782313,
        "vid": "s30-d52",
        "relevant_windows": [[4.795918367346939, 12.040816326530614]],
    },
    {
        "qid": 12404,
        "query": "person turn a light on.",
        "duration": 30.96,
        "vid": "3MSZA",
        "relevant_windows": [[24.3, 30.4]],
    },
]

NLQ_TVR = [
    {
        "qid": "val0",
        "query": "where is the black bag?",
        "duration": 480.0,
        "vid": "c8fbfd9c",
        "video_uid": "94cdabf3",
        "relevant_windows": [[92.1, 95.4]],
    }
]

CHARADES_TEXT = (
    "3MSZA 24.3 30.4##person turn a light on.\n3MSZA 0.0 5.1##person sits down.\nAMT7R 4.3 12.5##a person waits.\n"
)
CHARADES_CSV = (
    "id,subject,scene,quality,relevance,verified,script,objects,descriptions,actions,length\n"
    '3MSZA,CP6Y,Bedroom,5,6,Yes,"A person, then, waits.",bed;blanket,"A person looks.",c077 12.10 18.00,30.96\n'
    "AMT7R,CP6Y,Kitchen,5,6,Yes,A person cooks.,stove,A person cooks.,,33\n"
)
CHARADES_DURATIONS = json.dumps(
    {
        "3MSZA": {"subset": "testing", "duration": 30.96, "actions": [[77, 12.1, 18.0]]},
        "AMT7R": {"subset": "testing", "duration": 33.0, "actions": []},
    }
)

ACTIVITYNET = {
    "v_uqiMw7tQ1Cc": {
        "duration": 55.15,
        "timestamps": [[0.28, 55.15], [13.79, 54.32]],
        "sentences": ["A weight lifting tutorial is given.", "  The coach helps the guy in red."],
    },
    "v_bXdq2zI1Ms0": {"duration": 73.1, "timestamps": [[0, 10.23]], "sentences": ["A man is seen."]},
}

TACOS = {
    "s30-d52.avi": {
        "timestamps": [[141, 354], [361, 732]],
        "sentences": ["She took out kiwi", "She took out cutting board"],
        "fps": 29.4,
        "num_frames": 7346,
    }
}

EGO4D = {
    "version": "1",
    "date": "220117",
    "description": "NLQ Annotations (val)",
    "manifest": "s3://ego4d/manifest.csv",
    "videos": [
        {
            "video_uid": "94cdabf3",
            "clips": [
                {
                    "clip_uid": "c8fbfd9c",
                    "video_start_sec": 300.0210286,
                    "video_end_sec": 780.0210286,
                    "video_start_frame": 9001,
                    "video_end_frame": 23401,
                    "clip_start_sec": 0,
                    "clip_end_sec": 480.0,
                    "clip_start_frame": 0,
                    "clip_end_frame": 14400,
                    "source_clip_uid": "02246dd1",
                    "annotations": [
                        {
                            "annotation_uid": "b15d9ef4",
                            "language_queries": [
                                {
                                    "clip_start_sec": 10.5,
                                    "clip_end_sec": 18.0,
                                    "video_start_sec": 310.5210286,
                                    "video_end_sec": 318.0210286,
                                    "video_start_frame": 9316,
                                    "video_end_frame": 9541,
                                    "template": "Objects: Where is object X?",
                                    "query": "Where is the black bag?",
                                    "slot_x": "black bag",
                                    "verb_x": "[verb_not_applicable]",
                                    "slot_y": "",
                                    "verb_y": "",
                                    "raw_tags": ["Objects: Where is object X?", "black bag"],
                                },
                                {
                                    "clip_start_sec": 20.0,
                                    "clip_end_sec": 21.0,
                                    "video_start_sec": 320.0210286,
                                    "video_end_sec": 321.0210286,
                                    "video_start_frame": 9601,
                                    "video_end_frame": 9631,
                                    "template": None,
                                    "query": None,
                                },
                                {
                                    "clip_start_sec": 30.0,
                                    "clip_end_sec": 31.5,
                                    "video_start_sec": 330.0210286,
                                    "video_end_sec": 331.5210286,
                                    "video_start_frame": 9901,
                                    "video_end_frame": 9946,
                                    "template": "People: Who did I talk to?",
                                    "query": "Who did I talk to?",
                                },
                            ],
                        }
                    ],
                }
            ],
        }
    ],
}

EGO4D_UNANNOTATED = {
    **{key: EGO4D[key] for key in ("version", "date", "description")},
    "videos": [
        {
            "video_uid": "94cdabf3",
            "clips": [
                {
                    "clip_uid": "c8fbfd9c",
                    "video_start_sec": 300.0,
                    "video_end_sec": 780.0,
                    "annotations": [
                        {
                            "annotation_uid": "b15d9ef4",
                            "language_queries": [{"query": "Where is it?", "template": "Objects: Where is object X?"}],
                        }
                    ],
                }
            ],
        }
    ],
}

EGO4D_VSLNET = {
    "c8fbfd9c": {
        "fps": 1.875,
        "num_frames": 900,
        "timestamps": [[19, 33], [56, 59]],
        "exact_times": [[10.5, 18.0], [30.0, 31.5]],
        "sentences": ["where is the black bag?", "who did i talk to?"],
        "annotation_uids": ["b15d9ef4", "b15d9ef4"],
        "query_idx": [0, 2],
    }
}

CONE = [
    {
        "query": "Where is the black bag?",
        "query_id": "b15d9ef4_0",
        "duration": 480.0,
        "clip_id": "c8fbfd9c",
        "video_id": "94cdabf3",
        "timestamps": [10.5, 18.0],
    }
]

MAD = {
    "1050": {
        "movie": "3003_40_YEAR_OLD_VIRGIN",
        "sentence": "He opens the door.",
        "timestamps": [162.547, 175.809],
        "ext_timestamps": [160.0, 178.25],
        "movie_duration": 7947.6,
    },
    "1051": {
        "movie": "3003_40_YEAR_OLD_VIRGIN",
        "sentence": "He steps out.",
        "timestamps": [180.1, 182.3],
        "ext_timestamps": [179.0, 184.0],
        "movie_duration": 7947.6,
    },
}

CHARADES_CD = {
    "N14BK": {
        "framestamps": [[629, 720], [16, 88]],
        "decode_fps": 16.0,
        "encoded_sentences": [[1, 44, 4, 3, 51], [1, 29, 3, 7]],
        "sentences": ["person sits on the floor", "person closes the door"],
        "video_fps": -1.0,
        "timestamps": [[39.3, 45.0], [1.0, 5.5]],
        "video_duration": 47.625,
    }
}

DIDEMO = [
    {
        "num_segments": 6,
        "description": "someone kicks the bug towards some rocks.",
        "dl_link": "https://www.flickr.com/video_download.gne?id=4253489686",
        "times": [[0, 0], [4, 4], [4, 5], [4, 4]],
        "video": "26292851@N04_4253489686_265c3c8051.m4v",
        "annotation_id": 1,
    },
    {
        "num_segments": 5,
        "description": "person in white is backing up.",
        "dl_link": "https://www.flickr.com/video_download.gne?id=7071386095",
        "times": [[2, 2], [1, 2], [1, 1], [3, 3]],
        "video": "51035693821@N01_7071386095_a0.mov",
        "annotation_id": 49152,
    },
]

SNAG = {
    "training": {
        "v1": {
            "fps": 30.0,
            "num_frames": 900,
            "num_clips": 56,
            "annotations": [
                {"segment": [1.5, 4.0], "sentence": "A man sits."},
                {"segment": [5.0, 9.0], "sentence": " He stands up.", "sentence_id": "a7"},
            ],
        }
    },
    "validation": {
        "v2": {
            "fps": 25.0,
            "num_frames": 1000,
            "duration": 39.5,
            "annotations": [{"segment": [0, 39.0], "sentence": "A dog runs."}],
        },
        "v3": {"fps": 25.0, "num_frames": 100},
    },
}

SHAPES = {
    "qvhighlights": Shape(QVHIGHLIGHTS, lines=True),
    "tvr_jsonl": Shape(TVR, lines=True),
    "tvr_jsonl of NLQ": Shape(NLQ_TVR, lines=True),
    "charades_sta": Shape(CHARADES_TEXT, durations=CHARADES_CSV),
    "charades_sta with json": Shape(CHARADES_TEXT, durations=CHARADES_DURATIONS),
    "activitynet_captions": Shape(ACTIVITYNET),
    "tacos": Shape(TACOS),
    "ego4d_nlq": Shape(EGO4D),
    "ego4d_nlq on video time": Shape(EGO4D, options={"time_base": "video"}, durations='{"94cdabf3": 1800.5}'),
    "ego4d_nlq unannotated": Shape(EGO4D_UNANNOTATED),
    "ego4d_vslnet": Shape(EGO4D_VSLNET),
    "cone": Shape(CONE, lines=True),
    "mad": Shape(MAD, options={"timestamp_field": "ext_timestamps"}),
    "charades_cd": Shape(CHARADES_CD),
    "didemo": Shape(DIDEMO),
    "snag": Shape(SNAG, options={"split": "training"}),
}
