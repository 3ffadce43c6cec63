"""From settings to Kubernetes bodies, nginx text and every name. Pure."""
