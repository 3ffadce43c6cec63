"""Findings, field paths and the three-way comparison of plain structures. Knows neither Kubernetes nor nginx."""
