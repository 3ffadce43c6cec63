"""Undoing drift: what an update does about each object, and which preview it was approved on."""
