"""Moves a docker compose project into the cluster, and back."""
