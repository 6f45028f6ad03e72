"""From the state-dict keys of an official checkpoint to ours."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence


def rename_keys(rules: Sequence[tuple[str, str]]) -> Callable[[str], str | None]:
    """A key map made of rewriting rules; the first rule whose pattern matches the whole key applies.

    Args:
        rules: pairs of a regular expression and its replacement, with groups as in `re.sub`.

    Returns:
        official key -> ours, None for a key that no rule knows.

    Example:
        >>> rename_keys([(r"class_embed[.](.+)", r"heads.label.\\1")])("class_embed.bias")
        'heads.label.bias'
    """
    compiled = [(re.compile(pattern), replacement) for pattern, replacement in rules]

    def key_map(key: str) -> str | None:
        for pattern, replacement in compiled:
            match = pattern.fullmatch(key)
            if match:
                return match.expand(replacement)
        return None

    return key_map
