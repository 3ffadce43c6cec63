"""Projects of docker compose into the cluster: what becomes of them there, and how they are moved."""
