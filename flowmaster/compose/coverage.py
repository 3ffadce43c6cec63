"""Records what happens to every key: translated or refused. A key that no handler reads is refused."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from flowmaster.compose.result import KeyResult, Refusal


class Coverage:
    """Results, refusals and notes of one translation."""

    def __init__(self) -> None:
        self.recorded: dict[str, str] = {}
        self.refusals: dict[tuple[str, str], Refusal] = {}
        self.notes: dict[str, None] = {}

    def record(self, key: str, what: str) -> None:
        """Record what a key was translated to, or why nothing is needed."""
        self.recorded[key] = what

    def refuse(self, key: str, reason: str, remedy: str) -> None:
        """Record that a key has no counterpart in Kubernetes."""
        self.refusals[key, reason] = Refusal(key=key, reason=reason, remedy=remedy)

    def covers(self, key: str) -> bool:
        """Return whether a key, or a part of it, was recorded or refused."""
        said = (*self.recorded, *(path for path, _ in self.refusals))
        return any(path == key or path.startswith((f"{key}.", f"{key}[")) for path in said)

    def note(self, text: str) -> None:
        """Record a difference between docker and the cluster."""
        self.notes[text] = None

    def results(self) -> tuple[tuple[KeyResult, ...], tuple[str, ...], tuple[Refusal, ...]]:
        """Return results, notes and refusals."""
        refused = {key for key, _ in self.refusals}
        became = tuple(KeyResult(key=key, what=what) for key, what in self.recorded.items() if key not in refused)
        return became, tuple(self.notes), tuple(self.refusals.values())


class Keys:
    """A mapping of the compose file, consumed key by key; :meth:`refuse_remaining` refuses what is left."""

    def __init__(self, coverage: Coverage, path: str, values: Any) -> None:
        self.coverage = coverage
        self.path = path
        self._values: dict[str, Any] = dict(values) if isinstance(values, Mapping) else {}
        if values is not None and not isinstance(values, Mapping):
            coverage.refuse(
                path, f"is {type(values).__name__}, a mapping is expected", "correct it in the compose file"
            )

    def __contains__(self, name: str) -> bool:
        return self._values.get(name) is not None

    def __iter__(self) -> Iterator[str]:
        return iter(list(self._values))

    def path_of(self, name: str) -> str:
        """Return the path of a key."""
        return f"{self.path}.{name}"

    def get(self, name: str) -> Any:
        """Return a key's value without consuming it."""
        return self._values.get(name)

    def pop(self, name: str, what: str = "") -> Any:
        """Consume a key and return its value, None if absent; ``what`` records its translation."""
        value = self._values.pop(name, None)
        if value is not None and what:
            self.coverage.record(self.path_of(name), what)
        return value

    def pop_mapping(self, name: str) -> Keys:
        """Consume a nested mapping."""
        return Keys(self.coverage, self.path_of(name), self._values.pop(name, None))

    def refuse(self, name: str, reason: str, remedy: str) -> None:
        """Consume a key and refuse it."""
        self._values.pop(name, None)
        self.coverage.refuse(self.path_of(name), reason, remedy)

    def refuse_remaining(self) -> None:
        """Refuse every key not consumed, except empty ones and extensions (``x-``)."""
        for name, value in self._values.items():
            if name.startswith("x-"):
                self.coverage.record(self.path_of(name), "nothing: docker ignores it too")
            elif value is None:
                self.coverage.record(self.path_of(name), "nothing: it has no value")
            else:
                self.coverage.refuse(
                    self.path_of(name),
                    "is not supported",
                    "remove it, or write a Kubernetes object for it",
                )
