"""Other machines than the one at hand: a Debian 13 with systemd and cgroup v2, and the userland of a release.

Not part of `make test`. They need root, mmdebstrap and the network of the package registries: see README.md here.
"""
