"""What differs between desired and live state: cluster, host, compose projects, registry. Writes nothing."""
