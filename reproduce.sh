#!/usr/bin/env bash
#
# ./reproduce.sh COMMAND [OPTION...]      run a command of the benchmark (aexad-bench)
# ./reproduce.sh test [PYTEST OPTION...]  run the test suite
# ./reproduce.sh --help                   list the commands
#
# The first call makes a virtual environment with the versions pinned in setup.cfg;
# it is made again only when setup.cfg (or the Python version) changes. Paths in options
# are relative to where you are; paths given to 'test' are relative to the repository.
#
# Environment variables:
#   PYTHON            the Python (3.11 or later) that makes the environment
#   AEXAD_VENV        where to keep the environment (default: .venv beside this script)
#   AEXAD_SETUP_ONLY  1: set up the environment and stop
#
set -euo pipefail

# -- where things are ------------------------------------------------------------------

# Follow symlinks by hand: 'readlink -f' is not everywhere.
script=${BASH_SOURCE[0]}
while [[ -L $script ]]; do
    target=$(readlink -- "$script")
    [[ $target == /* ]] || target=$(dirname -- "$script")/$target
    script=$target
done
repo=$(CDPATH='' cd -P -- "$(dirname -- "$script")" && pwd)

venv=${AEXAD_VENV:-$repo/.venv}
[[ $venv == /* ]] || venv=$PWD/$venv
while [[ $venv == ?*/ ]]; do venv=${venv%/}; done
log=$venv-setup.log
lock=$venv.lock

say() { printf '%s\n' "$*" >&2; }
die() { say "reproduce.sh: $*"; exit 1; }

# -- is the environment there and current? ---------------------------------------------

# What an environment is made from: setup.cfg, byte for byte, and the Python version.
# (Without the patch level: an environment survives a patch update of its Python.)
# Here and below, -I keeps the caller's directory and PYTHONPATH out of the set-up.
stamp() {
    "$1" -I -c 'import hashlib, sys
with open(sys.argv[1], "rb") as f:
    print(hashlib.sha256(f.read()).hexdigest(), sys.implementation.cache_tag)' \
        "$repo/setup.cfg" 2>/dev/null
}

ready() {
    local made_from
    [[ -f $venv/.ready ]] || return 1
    made_from=$(<"$venv/.ready")
    [[ $(stamp "$venv/bin/python") == "$made_from" ]] || return 1
    [[ -z ${PYTHON:-} || $(stamp "$PYTHON") == "$made_from" ]]
}

# -- making it -------------------------------------------------------------------------

find_python() {
    local candidate no_venv=''
    local candidates=(python3.11 python3.12 python3.13 python3)
    [[ -z ${PYTHON:-} ]] || candidates=("$PYTHON")
    for candidate in "${candidates[@]}"; do
        # Run it rather than look for it: a pyenv shim is there even when its Python is not.
        "$candidate" -I -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
            >/dev/null 2>&1 || continue
        if "$candidate" -I -c 'import ensurepip, venv' >/dev/null 2>&1; then
            python=$candidate
            # The program itself: a wrapper such as a pyenv shim may run it as a child, whose
            # process id 'supervise' would not know.
            runner=$("$candidate" -I -c 'import sys; print(sys.executable)')
            return
        fi
        no_venv=${no_venv:-$candidate}
    done
    [[ -z $no_venv ]] ||
        die "$no_venv cannot make virtual environments: install python3-venv" \
            "(Debian, Ubuntu: apt install python3-venv, or python3.X-venv for that version)."
    [[ -z ${PYTHON:-} ]] ||
        die "PYTHON=$PYTHON is not a working Python 3.11 or later."
    die "needs Python 3.11 or later, found none: install python3.11 (with python3.11-venv)," \
        "or name one in the environment variable PYTHON."
}

# Run a command, with its output in the log, so that a signal to this script is acted on at
# once (bash would first wait for a command in the foreground), and in a session of its own,
# so that what it started can be stopped with it. ('set -m' also gives it a process group, but
# may stop the script itself when that was started with an '&'.)
child=
supervise() {
    local status=0
    "$runner" -I -c 'import os, signal, sys
os.setsid()
signal.signal(signal.SIGINT, signal.SIG_DFL)  # bash has it ignored after an "&"
os.execvp(sys.argv[1], sys.argv[1:])' "$@" </dev/null >>"$log" 2>&1 &
    child=$!
    wait "$child" || status=$?
    child=
    return "$status"
}

stop_child() {
    [[ -n $child ]] || return 0
    # SIGINT lets pip remove its temporary files. No such group: it has not begun yet.
    kill -INT -- "-$child" 2>/dev/null || kill -KILL "$child" 2>/dev/null || return 0
    local _
    for _ in {1..100}; do
        kill -0 -- "-$child" 2>/dev/null || return 0
        sleep 0.1
    done
    kill -KILL -- "-$child" 2>/dev/null || true
    wait "$child" 2>/dev/null || true
}

remove_venv() {
    rm -f -- "$venv/.ready"     # first: half-removed must not look ready
    rm -rf -- "$venv"
}

building=       # what is being done to $venv; empty while it can be left as it is
interrupted=
on_exit() {
    local status=$?
    trap '' HUP INT TERM
    stop_child
    if [[ -n $building ]]; then
        remove_venv || true
        if [[ -n $interrupted ]]; then
            say "reproduce.sh: interrupted while $building; the next call starts again."
        else
            say "reproduce.sh: failed while $building, status $status. The end of $log:"
            { tail -n 4 -- "$log" | sed 's/^/    /' >&2; } || true
        fi
    fi
    exit "$status"
}

on_signal() {
    interrupted=1
    exit "$((128 + $1))"
}

# The lock belongs to the open file, so it goes away with the last process that has it:
# no lock is ever stale, and a pip that outlives a killed script still holds it.
# Python takes it because not every system has flock(1).
lock_venv() {
    local take='import fcntl, sys
try:
    fcntl.flock(9, fcntl.LOCK_EX | (fcntl.LOCK_NB if sys.argv[1:] else 0))
except BlockingIOError:
    sys.exit(75)
except OSError as error:
    print(f"reproduce.sh: going on without a lock: {error}", file=sys.stderr)'
    local status=0
    exec 9>>"$lock"
    "$runner" -I -c "$take" no-wait || status=$?
    if ((status == 75)); then
        say "Waiting for another call to finish setting up $venv..."
        supervise "$runner" -I -c "$take"
    elif ((status)); then
        exit "$status"
    fi
}

build() {
    local made_from
    # AEXAD_VENV may name anything; never delete what is not ours.
    if [[ $venv != "$repo/.venv" && -e $venv && ! -e $venv/.aexad ]] &&
        [[ -n $(ls -A -- "$venv") ]]; then
        die "AEXAD_VENV=$venv holds something else: remove it, or name another place."
    fi
    say "Setting up $venv (once, about 1-2 minutes, 1.7 GB; more if torch comes with CUDA)..."
    : >"$log"
    building='removing the old environment'
    remove_venv
    building='creating the environment (python -m venv)'
    mkdir -- "$venv"
    : >"$venv/.aexad"
    made_from=$(stamp "$python")
    supervise "$python" -I -m venv "$venv"

    # One command: torch, torchvision and timm have to be resolved together. Not in strict mode,
    # whose links would not follow the mapping of folders in setup.cfg.
    building='installing the project and what it needs (pip)'
    supervise "$venv/bin/python" -I -m pip install --disable-pip-version-check --no-input \
        --progress-bar off --editable "$repo[test]"

    building='marking the environment as ready'
    printf '%s\n' "$made_from" >"$venv/.ready.new"
    mv -f -- "$venv/.ready.new" "$venv/.ready"
    building=
    say "Set up in $SECONDS s."
}

set_up() {
    local parent
    parent=$(dirname -- "$venv")
    find_python
    mkdir -p -- "$parent" 2>/dev/null || true
    [[ -w $parent ]] || die "cannot write to $parent: name another place in AEXAD_VENV."
    trap on_exit EXIT
    trap 'on_signal 1' HUP
    trap 'on_signal 2' INT
    trap 'on_signal 15' TERM
    lock_venv
    ready || build      # another call may have made it while this one waited
    exec 9>&-
    trap - EXIT HUP INT TERM
}

[[ -f $repo/setup.cfg ]] || die "there is no setup.cfg in $repo."
ready || set_up
[[ ${AEXAD_SETUP_ONLY:-} != 1 ]] || exit 0

# -- running the command ---------------------------------------------------------------

export AEXAD_COMMAND=./reproduce.sh

if [[ ${1:-} == test ]]; then
    shift
    cd -- "$repo"
    exec "$venv/bin/python" -P -m pytest -c setup.cfg --rootdir "$repo" "$@"
fi
(($#)) || set -- --help
# -P: a directory 'aexad' (or a torch.py) where the caller happens to be is not ours.
exec "$venv/bin/python" -P -m aexad.bench "$@"
