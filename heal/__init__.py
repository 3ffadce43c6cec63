"""Undoing drift: what is to be done about each object, the writes that do it, and how Pulumi shows it."""
