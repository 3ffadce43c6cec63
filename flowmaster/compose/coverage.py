"""Keeping account of every key: each one is translated, or refused; what is forgotten is refused too."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from flowmaster.compose.result import Became, Refusal


class Account:
    """What became of which key."""

    def __init__(self) -> None:
        self.became: dict[str, str] = {}
        self.refusals: dict[tuple[str, str], Refusal] = {}
        self.told: dict[str, None] = {}

    def become(self, key: str, what: str) -> None:
        """A key was translated, or is known to need nothing."""
        self.became[key] = what

    def refuse(self, key: str, reason: str, remedy: str) -> None:
        """A key has no counterpart."""
        self.refusals[key, reason] = Refusal(key=key, reason=reason, remedy=remedy)

    def knows(self, key: str) -> bool:
        """Whether something was said of a key, or of a part of it."""
        said = (*self.became, *(path for path, _ in self.refusals))
        return any(path == key or path.startswith((f"{key}.", f"{key}[")) for path in said)

    def tell(self, text: str) -> None:
        """Something is not quite as it was."""
        self.told[text] = None

    def results(self) -> tuple[tuple[Became, ...], tuple[str, ...], tuple[Refusal, ...]]:
        """All three."""
        refused = {key for key, _ in self.refusals}
        became = tuple(Became(key=key, what=what) for key, what in self.became.items() if key not in refused)
        return became, tuple(self.told), tuple(self.refusals.values())


class Keys:
    """A mapping of the compose file that is used up key by key; :meth:`close` refuses what nobody took."""

    def __init__(self, account: Account, path: str, values: Any) -> None:
        self.account = account
        self.path = path
        self._values: dict[str, Any] = dict(values) if isinstance(values, Mapping) else {}
        if values is not None and not isinstance(values, Mapping):
            account.refuse(path, f"is {type(values).__name__}, a mapping is expected", "correct it in the compose file")

    def __contains__(self, name: str) -> bool:
        return self._values.get(name) is not None

    def __iter__(self) -> Iterator[str]:
        return iter(list(self._values))

    def at(self, name: str) -> str:
        """The path of a key."""
        return f"{self.path}.{name}"

    def peek(self, name: str) -> Any:
        """A key's value, left where it is."""
        return self._values.get(name)

    def take(self, name: str, what: str = "") -> Any:
        """A key's value, taken; None where it is not given. ``what`` says what becomes of it."""
        value = self._values.pop(name, None)
        if value is not None and what:
            self.account.become(self.at(name), what)
        return value

    def below(self, name: str) -> Keys:
        """A mapping within, taken."""
        return Keys(self.account, self.at(name), self._values.pop(name, None))

    def refuse(self, name: str, reason: str, remedy: str) -> None:
        """Take a key and refuse it."""
        self._values.pop(name, None)
        self.account.refuse(self.at(name), reason, remedy)

    def close(self) -> None:
        """Refuse what nobody took. A key of no value is as good as absent; one with ``x-`` is a note."""
        for name, value in self._values.items():
            if name.startswith("x-"):
                self.account.become(self.at(name), "nothing: docker takes no notice of it either")
            elif value is None:
                self.account.become(self.at(name), "nothing: no value is given")
            else:
                self.account.refuse(
                    self.at(name), "is not known to this translator", "remove it, or say it in the cluster's own words"
                )
