# What the jobs begin with. Each step is told with what it took; one that fails does not keep the next from being tried.
set -u
code=0
step() {
    printf '\n== %s\n' "$*"
    begun=$(date +%s)
    if "$@"; then said=ok; else said="FAILED with $?"; code=1; fi
    printf '== %s: %s after %s s\n' "$*" "$said" $(($(date +%s) - begun))
}
tests() { .venv/bin/pytest -q -p no:cacheprovider "$@"; }
