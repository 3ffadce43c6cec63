"""Taking over a live namespace: what runs is written down, proved to stay as it is, and only then managed."""
