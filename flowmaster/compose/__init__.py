"""A docker compose project as Kubernetes bodies. Pure: no server is asked."""
