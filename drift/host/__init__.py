"""Drift of the server itself: what nginx has in its files and what it runs, against what is declared."""
