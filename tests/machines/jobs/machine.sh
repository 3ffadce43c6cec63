# A fresh machine, as a newcomer has one: the main job, then chosen tests of the lab, then nothing is left of it.
export FLOWMASTER_PATIENCE=${FLOWMASTER_PATIENCE:-8}
nothing_started() {
    for service in containerd docker.socket docker docker-registry nginx; do
        state="$(systemctl is-active $service) $(systemctl is-enabled $service)"
        [ "$state" = 'inactive disabled' ] || { echo "$service is $state"; return 1; }
    done
    [ ! -e /usr/sbin/policy-rc.d ]
}
killed_twin_leaves_the_cgroups() {
    lab/lab up && pgrep -f -- --twin=$FLOWMASTER_TWIN | xargs kill -9 && lab/lab down && cgroups_as_before
}
cgroups_as_before() {
    now=$(cat /sys/fs/cgroup/cgroup.subtree_control)
    [ "$now" = "$before" ] || { echo "the root hands down '$now', and before it was '$before'"; return 1; }
    [ -z "$(find /sys/fs/cgroup -name 'flowmaster-twin-*')" ]
}
before=$(cat /sys/fs/cgroup/cgroup.subtree_control)
uname -sr
python3 --version
systemctl --version | head -n 1
step lab/bootstrap
step nothing_started
step lab/demo
step lab/lab status
for module in test_twin test_main_job test_nginx test_adoption test_compose_translation sdx/test_sdx_drift; do
    step tests "tests/lab/$module.py"
done
step lab/lab down
step cgroups_as_before
step killed_twin_leaves_the_cgroups
step tests tests/lab/test_twin_traces.py
step cgroups_as_before
exit $code
