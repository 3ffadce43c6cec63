"""The verbs of `flowmaster`, a thin module each."""
