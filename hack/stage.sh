#!/usr/bin/env bash
# Measures the stages of `make test`, and prints the cost of each.
#   hack/stage.sh --run COMMAND...    runs COMMAND, then prints the table of its stages, also when
#                                     it fails
#   hack/stage.sh NAME COMMAND...     a stage within --run; otherwise only runs COMMAND
#   hack/stage.sh --each COMMAND...   a `cargo test`: each of its test programs is a stage
# Unlike wall time, user+system time does not depend on the load of the machine.
set -euo pipefail
export LC_ALL=C.UTF-8

usage() { sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' "$0" >&2; exit 2; }

# Runs a command and appends to $KILN_STAGES: its exit code, seconds of wall, user and system time,
# and its name. Tests that boot machines append a line for each, without user and system time.
stage() {
    local name=$1 status=0 spent
    shift
    # `time` prints to the command substitution; the command's output goes to the original files.
    local TIMEFORMAT='%R %U %S'
    exec 4>&1 5>&2
    spent=$({ time "$@" >&4 2>&5 4>&- 5>&-; } 2>&1) || status=$?
    exec 4>&- 5>&-
    printf '%s %s %s\n' "$status" "${spent##*$'\n'}" "$name" >>"$KILN_STAGES"
    return "$status"
}

table() {
    awk -v began="$1" -v ended="$2" -v status="$3" '
        BEGIN { format = "%-60s %9s %12s  %s\n"; printf format, "stage", "seconds", "user+system", "" }
        {
            name = $5
            for (i = 6; i <= NF; i++) name = name " " $i
            cpu += $3 + $4
            printf format, name, sprintf("%.1f", $2), (($3 + $4 > 0) ? sprintf("%.1f", $3 + $4) : ""), $1 == 0 ? "" : "FAILED (" $1 ")"
        }
        END { printf format, "in all", sprintf("%.1f", ended - began), sprintf("%.1f", cpu), status == 0 ? "" : "FAILED (" status ")" }
    ' "$KILN_STAGES"
}

# Cargo starts each test program by: hack/stage.sh --program PATH ARGUMENT...
program() {
    local name=${1##*/}
    # Doc tests consist of many short-lived programs in other directories.
    if [[ ! ${KILN_STAGES-} || $1 != */deps/* ]]; then exec "$@"; fi
    # A package's library and its binary have the same name.
    stage "test ${CARGO_PKG_NAME:-}: ${name%-*}" "$@"
}

(($# >= 2)) || usage
case $1 in
    --run)
        shift
        KILN_STAGES=$(mktemp)
        export KILN_STAGES
        trap 'rm -f "$KILN_STAGES"' EXIT
        # Tests make files that other users must be able to read.
        umask 022
        status=0
        began=$EPOCHREALTIME
        "$@" || status=$?
        printf '\n== what the stages have cost, on %s cores\n' "$(nproc)"
        table "$began" "$EPOCHREALTIME" "$status"
        exit "$status"
        ;;
    --each)
        shift
        host=$(rustc -vV | sed -n 's/^host: //p' | tr 'a-z-' 'A-Z_')
        export "CARGO_TARGET_${host}_RUNNER=$(realpath "$0") --program"
        exec "$@"
        ;;
    --program)
        shift
        program "$@"
        ;;
    -*) usage ;;
    *)
        if [[ ! ${KILN_STAGES-} ]]; then exec "${@:2}"; fi
        stage "$@"
        ;;
esac
