"""Renders a report for a terminal, as Markdown, JSON or SVG. Reads nothing."""
