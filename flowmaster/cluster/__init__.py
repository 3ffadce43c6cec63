"""Kubernetes: the connection, reading, schema and defaults, masking, guarded writes, waiting for a rollout."""
