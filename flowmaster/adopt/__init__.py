"""Adopts a live namespace: describes what runs, proves that nothing changes, and only then manages it."""
