"""Translates a docker compose project into Kubernetes manifests. Pure: contacts no server."""
