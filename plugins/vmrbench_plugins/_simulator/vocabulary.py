"""The closed world of the simulator: scenes, objects in categories, actions in categories, and their synonyms."""

from __future__ import annotations

SCENES: tuple[tuple[str, str], ...] = (
    ("kitchen", "galley"),
    ("garden", "yard"),
    ("garage", "workshop"),
    ("office", "study"),
    ("bedroom", "chamber"),
    ("hallway", "corridor"),
    ("shop", "store"),
    ("beach", "shore"),
)

OBJECT_CATEGORIES: tuple[tuple[tuple[str, str], ...], ...] = (
    (("carrot", "root"), ("potato", "spud"), ("onion", "bulb")),
    (("knife", "blade"), ("spoon", "ladle"), ("fork", "prongs")),
    (("pan", "skillet"), ("bowl", "basin"), ("plate", "dish")),
    (("shirt", "blouse"), ("towel", "cloth"), ("blanket", "quilt")),
)

ACTION_CATEGORIES: tuple[tuple[tuple[str, str], ...], ...] = (
    (("slices", "cuts"), ("peels", "skins"), ("breaks", "splits")),
    (("washes", "rinses"), ("dries", "wipes"), ("polishes", "rubs")),
    (("lifts", "raises"), ("carries", "hauls"), ("drops", "releases")),
)

SUBJECTS: tuple[str, ...] = ("person", "man", "woman", "worker")

OBJECTS: tuple[tuple[str, str], ...] = tuple(words for category in OBJECT_CATEGORIES for words in category)
ACTIONS: tuple[tuple[str, str], ...] = tuple(words for category in ACTION_CATEGORIES for words in category)
OBJECT_CATEGORY: tuple[int, ...] = tuple(i for i, category in enumerate(OBJECT_CATEGORIES) for _ in category)
ACTION_CATEGORY: tuple[int, ...] = tuple(i for i, category in enumerate(ACTION_CATEGORIES) for _ in category)
