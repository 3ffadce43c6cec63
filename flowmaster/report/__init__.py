"""A report for a terminal, as Markdown, JSON or SVG. Finds nothing out."""
