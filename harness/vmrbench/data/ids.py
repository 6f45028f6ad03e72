"""From the ids of annotations to the names that a source of features knows them by."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from vmrbench.errors import DataError, did_you_mean

ANY_CASE = "any_case"
_WITH_TEXT: dict[str, Callable[[str, str], str]] = {
    "drop_prefix": lambda text, name: name.removeprefix(text),
    "drop_suffix": lambda text, name: name.removesuffix(text),
    "add_prefix": lambda text, name: text + name,
    "add_suffix": lambda text, name: name + text,
}
_ALONE: dict[str, Callable[[str], str]] = {"lower": str.lower, "upper": str.upper}
STEPS = (*_WITH_TEXT, *_ALONE, ANY_CASE)


def check_steps(steps: Sequence[str]) -> None:
    """Raise ValueError for a step that is unknown, lacks its text, has one it cannot use, or comes after `any_case`."""
    for place, step in enumerate(steps):
        verb, _, text = step.partition(" ")
        if verb not in STEPS:
            raise ValueError(f"ids: {step!r} begins with no known step{did_you_mean(verb, STEPS)}")
        if bool(text) != (verb in _WITH_TEXT):
            raise ValueError(
                f"ids: {step!r} found, expected {verb + ' TEXT' if verb in _WITH_TEXT else verb + ' alone'}"
            )
        if verb == ANY_CASE and place < len(steps) - 1:
            raise ValueError(f"ids: {ANY_CASE!r} must be the last step; it looks up what the others made")


class StoredNames:
    """Turns an id into the name it is stored under.

    Args:
        steps: applied in order: `drop_suffix .avi`, `add_suffix -cam-002`, `drop_prefix v_`, `add_prefix qid`, `lower`,
            `upper`, or `any_case`, which takes the one stored name that differs in case alone.
        stored: gives every stored name; asked once, and only for `any_case`.
    """

    def __init__(self, steps: Sequence[str], stored: Callable[[], Iterable[str]]) -> None:
        self._steps = [step.partition(" ")[::2] for step in steps if step != ANY_CASE]
        self._stored = stored if ANY_CASE in steps else None
        self._by_case: dict[str, list[str]] | None = None

    def __call__(self, name: str) -> str:
        """The stored name; with `any_case` the id itself where nothing like it is stored.

        Raises:
            DataError: two stored names differ from the id in case alone, and none is equal to it.
        """
        for verb, text in self._steps:
            name = _WITH_TEXT[verb](text, name) if text else _ALONE[verb](name)
        return name if self._stored is None else self._in_any_case(name)

    def _in_any_case(self, name: str) -> str:
        if self._by_case is None:
            self._by_case = {}
            for stored in self._stored() if self._stored else ():
                self._by_case.setdefault(stored.casefold(), []).append(stored)
        found = self._by_case.get(name.casefold(), [name])
        if name in found:
            return name
        if len(found) > 1:
            raise DataError(f"features of {name!r}: {found[0]!r} and {found[1]!r} differ in case alone; rename one")
        return found[0]
