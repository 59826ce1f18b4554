# SPDX-License-Identifier: Apache-2.0
# Sourced by ./test: runs steps, keeps their logs, adds up what they counted.
# A step is a function. One that runs a test suite calls count_junit; any other counts as one case.

in_ci=
if [ "${CI:-}" = true ]; then in_ci=1; fi

logs=build/test-logs
rm -rf "$logs"
mkdir -p "$logs"
passed=0
failed=0
skipped=0
steps_failed=()

# Within a step: where its JUnit file goes, and its counts "passed failed skipped".
junit=
counts=

# step NAME FUNCTION...: a failure is shown, counted, and doesn't stop the steps that follow.
step() {
    local name=$1 status=0 begin=$SECONDS log p f s
    shift
    log=$logs/$name.log
    junit=$logs/$name.xml
    counts=$logs/$name.counts
    printf '==> %-18s ' "$name"
    set +e
    (
        set -e
        "$@"
    ) >"$log" 2>&1 </dev/null
    status=$?
    set -e
    p=0 f=0 s=0
    if [ -f "$counts" ]; then
        read -r p f s <"$counts"
    elif [ "$status" = 0 ]; then
        p=1
    fi
    if [ "$status" != 0 ] && [ "$f" = 0 ]; then f=1; fi
    passed=$((passed + p))
    failed=$((failed + f))
    skipped=$((skipped + s))
    if [ "$f" = 0 ]; then
        printf 'ok      %4d s   %d passed' $((SECONDS - begin)) "$p"
        if [ "$s" != 0 ]; then printf ', %d SKIPPED' "$s"; fi
        printf '\n'
        grep -h '^SKIPPED' "$log" | sort -u | sed 's/^/    /' || true
    else
        printf 'FAILED  %4d s   %d passed, %d failed\n' $((SECONDS - begin)) "$p" "$f"
        tail -n 60 "$log" | sed 's/^/    | /'
        steps_failed+=("$name")
        return 0
    fi
}

# skip NAME WHY...: loud, and a failure with CI=true.
skip() {
    local name=$1
    shift
    if [ -n "$in_ci" ]; then
        printf '==> %-18s FAILED: %s\n' "$name" "$*" | tee "$logs/$name.log"
        failed=$((failed + 1))
        steps_failed+=("$name")
    else
        printf '==> %-18s SKIPPED: %s\n' "$name" "$*" | tee "$logs/$name.log"
        skipped=$((skipped + 1))
    fi
}

# Count the cases of $junit (ctest's form: a testcase is a cmocka program; or pytest's).
count_junit() {
    .venv/bin/python tests/tools/count-results "$1" "$junit" >"$junit.counted"
    head -n 1 "$junit.counted" >"$counts"
    tail -n +2 "$junit.counted"
}

# The last words; the status of ./test.
summary() {
    local name
    printf '\n'
    for name in "${steps_failed[@]+"${steps_failed[@]}"}"; do
        printf 'FAILED: %s, see %s/%s.log\n' "$name" "$logs" "$name"
        { grep -h '^FAILED CASE' "$logs/$name.log" || true; } | sed 's/^/    /'
    done
    printf 'took %d s\n' "$SECONDS"
    printf '%d passed, %d failed' "$passed" "$failed"
    if [ "$skipped" != 0 ]; then printf ', %d skipped' "$skipped"; fi
    printf '\n'
    [ "$failed" = 0 ]
}
