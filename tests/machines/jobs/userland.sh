# The programs of a release, on the kernel of this machine: style, types, all tests without a twin, and then a twin.
python3 --version
step lab/bootstrap
dpkg-query --show containerd docker.io nginx openssh-server
step make lint
step tests tests --ignore tests/lab
step lab/demo
for module in test_twin test_twin_faults test_nginx; do step tests "tests/lab/$module.py"; done
step lab/lab down
exit $code
