"""Sentences for simulated events: a small grammar with synonyms and several word orders."""

from __future__ import annotations

import numpy as np

from vmrbench_plugins._simulator.vocabulary import ACTIONS, OBJECTS, SCENES, SUBJECTS

TEMPLATES: tuple[str, ...] = (
    "the {subject} {action} the {object}",
    "a {subject} {action} a {object}",
    "now the {subject} carefully {action} the {object}",
    "the {object} is what the {subject} {action}",
    "here is a {object} that the {subject} {action}",
)
PLACED: tuple[str, ...] = ("{sentence} in the {scene}", "in the {scene} {sentence}")


def write_sentence(object_: int, action: int, scene: int | None, rng: np.random.Generator) -> str:
    """One of many sentences for the same event; the scene is named in half of them, where it is known."""
    words = {
        "subject": str(rng.choice(SUBJECTS)),
        "object": str(rng.choice(OBJECTS[object_])),
        "action": str(rng.choice(ACTIONS[action])),
    }
    sentence = str(rng.choice(TEMPLATES)).format(**words)
    if scene is None or rng.random() < 0.5:
        return sentence
    return str(rng.choice(PLACED)).format(sentence=sentence, scene=rng.choice(SCENES[scene]))


def read_sentence(sentence: str) -> tuple[int, int]:
    """Object and action that a sentence of this grammar names.

    Raises:
        ValueError: the sentence names no known object or no known action.
    """
    words = sentence.split()
    return _only(words, OBJECTS, "object"), _only(words, ACTIONS, "action")


def _only(words: list[str], concepts: tuple[tuple[str, str], ...], what: str) -> int:
    for number, synonyms in enumerate(concepts):
        if any(word in synonyms for word in words):
            return number
    raise ValueError(f"no {what} in {' '.join(words)!r}")
