"""The one error the twin raises on purpose."""


class TwinError(Exception):
    """Something the person at the keyboard can act on; the text says what happened and what to do."""


class UnreachableError(TwinError):
    """A daemon of the twin does not answer; where it ended by itself, it is started again."""
