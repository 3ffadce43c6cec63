"""Kubernetes bodies from configuration: pure functions, one for each kind, that return what the API server is sent."""
