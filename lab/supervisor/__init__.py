"""The first process of a twin: it makes the server's namespaces and root folder and keeps its daemons running.

Standard library only, and everything imported at the start: once the server's own root folder is in place, the
Python installation that runs this is no longer on the path.
"""
