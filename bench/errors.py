"""What ends a benchmark."""


class BenchError(Exception):
    """A measurement that would not mean what it says, or a command that failed; the message says which and why."""
