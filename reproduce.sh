#!/usr/bin/env bash
#
# ./reproduce.sh COMMAND [OPTION...]      run a command of the benchmark (aexad-bench)
# ./reproduce.sh test [PYTEST OPTION...]  run the test suite
# ./reproduce.sh --help                   list the commands
#
# The first call makes a virtual environment with the versions pinned in setup.cfg and
# constraints.txt; it is made again only when these, pyproject.toml or the Python version
# change, and never while something runs in it. Paths in options are relative to where you
# are; paths given to 'test' are relative to the repository.
#
# Environment variables:
#   PYTHON            the Python (3.11 or later) that makes the environment
#   AEXAD_VENV        where to keep the environment (default: .venv beside this script)
#   AEXAD_EXTRAS      extras of setup.cfg that it also has, as 'anomalib'; it is then another
#                     environment (default .venv-anomalib)
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

export AEXAD_EXTRAS=${AEXAD_EXTRAS:-}
venv=${AEXAD_VENV:-$repo/.venv${AEXAD_EXTRAS:+-${AEXAD_EXTRAS//,/-}}}
[[ $venv != '~'/* ]] || venv=$HOME${venv#'~'}  # of a file or in quotes: no shell has read it
[[ $venv == /* ]] || venv=$PWD/$venv
while [[ $venv == ?*/ ]]; do venv=${venv%/}; done
log=$venv-setup.log
lock=$venv.lock

say() { printf '%s\n' "$*" >&2; }
die() { say "reproduce.sh: $*"; exit 1; }

# -- is the environment there and current? ---------------------------------------------

sources=("$repo/setup.cfg" "$repo/pyproject.toml" "$repo/constraints.txt")

# What an environment is made from, three lines: the sources, byte for byte, the Python version
# (without the patch level: an environment survives a patch update of its Python), and extras;
# where it lies, which its programs know; the checkout that is installed in it.
# 'stamp PYTHON 8' prints nothing: it fails unless this is what file descriptor 8 says, the
# environment's .ready, and locks that file, shared, for as long as it is open: until the
# command ends that this script becomes. (No links: it was removed or replaced meanwhile.)
# Here and below, -I keeps the caller's directory and PYTHONPATH out of the set-up.
stamp() {
    "$1" -I -c 'import fcntl, hashlib, os, sys
venv, repo, *sources, ready = map(os.fsencode, sys.argv[1:])
digests = [hashlib.sha256(open(path, "rb").read()).hexdigest() for path in sources]
extras = filter(None, [os.environ["AEXAD_EXTRAS"]])
made_from = os.fsencode(" ".join((*digests, sys.implementation.cache_tag, *extras)))
made_from = b"\n".join((made_from, os.path.realpath(venv), repo, b""))
if not ready:
    sys.stdout.buffer.write(made_from)
elif os.read(8, 1 << 20) != made_from:
    sys.exit(1)
else:
    try:
        fcntl.flock(8, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        sys.exit(1)
    except OSError:
        pass  # no locks on this file system
    sys.exit(not os.fstat(8).st_nlink)' "$venv" "$repo" "${sources[@]}" "${2:-}" 2>/dev/null
}

ready() {
    { exec 8<"$venv/.ready"; } 2>/dev/null || return 1
    if stamp "$venv/bin/python" 8 &&
        [[ -z ${PYTHON:-} || $(stamp "$PYTHON") == "$(<"$venv/.ready")" ]]; then
        return 0
    fi
    exec 8<&-
    return 1
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
keep=           # what is left of it when that fails is good for the next call
interrupted=
on_exit() {
    local status=$?
    trap '' HUP INT TERM
    stop_child
    if [[ -n $building ]]; then
        [[ -n $keep ]] || remove_venv || true
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
take='import fcntl, sys
try:
    fcntl.flock(int(sys.argv[1]), fcntl.LOCK_EX | (fcntl.LOCK_NB if sys.argv[2:] else 0))
except BlockingIOError:
    sys.exit(75)
except OSError as error:
    print(f"reproduce.sh: going on without a lock: {error}", file=sys.stderr)'
lock_venv() {
    local status=0
    exec 9>>"$lock"
    "$runner" -I -c "$take" 9 no-wait || status=$?
    if ((status == 75)); then
        say "Waiting for another call to finish setting up $venv..."
        supervise "$runner" -I -c "$take" 9
    elif ((status)); then
        exit "$status"
    fi
}

# What runs in an environment has its .ready locked (see 'stamp').
nobody_in_venv() {
    local status=0
    [[ -f $venv/.ready ]] || return 0
    exec 8>>"$venv/.ready"
    "$runner" -I -c "$take" 8 no-wait || status=$?
    ((status != 75)) || die "$venv has to be changed, but something of the checkout" \
        "$(tail -n 1 -- "$venv/.ready") runs in it: wait for its end, or name another" \
        "environment in AEXAD_VENV."
    ((status == 0)) || exit "$status"
}

mark_ready() {
    printf '%s\n' "$1" >"$venv/.ready.new"
    mv -f -- "$venv/.ready.new" "$venv/.ready"
}

pip_install() {
    supervise "$venv/bin/python" -I -m pip install --disable-pip-version-check --no-input \
        --progress-bar off "$@"
}

# Whether the environment is what it has to be but for the checkout that is installed in it.
made_for_another() {
    local made_from now
    [[ -f $venv/.ready ]] || return 1
    made_from=$(<"$venv/.ready")
    now=$(stamp "$venv/bin/python") || return 1
    [[ -z ${PYTHON:-} || $(stamp "$PYTHON") == "$now" ]] || return 1
    [[ ${made_from%$'\n'*} == "${now%$'\n'*}" && $made_from != "$now" ]]
}

# Everything but the project itself is there; setuptools, too, so that nothing is downloaded.
replace_checkout() {
    local made_from
    say "$venv is of the checkout $(tail -n 1 -- "$venv/.ready");" \
        "installing $repo in its place..."
    made_from=$(stamp "$venv/bin/python")
    : >"$log"
    keep=1
    building='installing the project (pip)'
    mark_ready "${made_from%$'\n'*}"$'\n(none)'    # half-installed must not look ready
    pip_install --no-deps --no-build-isolation --editable "$repo"
    mark_ready "$made_from"
    building=
    keep=
}

build() {
    local made_from
    # AEXAD_VENV may name anything; never delete what is not ours.
    if [[ $venv != "$repo/.venv" && -e $venv && ! -e $venv/.aexad ]] &&
        [[ -n $(ls -A -- "$venv") ]]; then
        die "AEXAD_VENV=$venv holds something else: remove it, or name another place."
    fi
    [[ ! -f $venv/.ready ]] ||
        say "$venv was made from other versions, or elsewhere: it is made anew."
    say "Setting up $venv (once, about 1-2 minutes, 1.8 GB; more if torch comes with CUDA)..."
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
    pip_install --constraint "$repo/constraints.txt" \
        --editable "${repo}[test,onnx${AEXAD_EXTRAS:+,$AEXAD_EXTRAS}]"

    building='marking the environment as ready'
    mark_ready "$made_from"
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
    if ! ready; then    # another call may have made it while this one waited
        nobody_in_venv
        if made_for_another; then replace_checkout; else build; fi
        exec 8>&-
        ready || die "$venv was changed meanwhile: run the command again."
    fi
    exec 9>&-
    trap - EXIT HUP INT TERM
}

for source in "${sources[@]}"; do
    [[ -f $source ]] || die "there is no $source."
done
known=$(sed -n '/^\[options.extras_require\]/,/^\[/s/^\([a-z]*\) =$/\1/p' "$repo/setup.cfg")
for extra in ${AEXAD_EXTRAS//,/ }; do
    [[ $'\n'$known$'\n' == *$'\n'"$extra"$'\n'* ]] ||
        die "AEXAD_EXTRAS=$AEXAD_EXTRAS: there is no extra '$extra'; known:" $known
done
ready || set_up
[[ ${AEXAD_SETUP_ONLY:-} != 1 ]] || exit 0

# -- running the command ---------------------------------------------------------------

export AEXAD_COMMAND=./reproduce.sh

if [[ ${1:-} == test ]]; then
    shift
    cd -- "$repo"
    pytest=("$venv/bin/python" -P -m pytest -c setup.cfg --rootdir "$repo")
    (($# == 0)) || exec "${pytest[@]}" "$@"
    # All of them: a file after the other on each of two processes; then, with nothing beside them,
    # those that race and kill processes.
    export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}
    status=0
    "${pytest[@]}" --numprocesses 2 --dist loadfile --ignore tests/run || status=$?
    "${pytest[@]}" tests/run || status=$?
    exit "$status"
fi
(($#)) || set -- --help
# -P: a directory 'aexad' (or a torch.py) where the caller happens to be is not ours.
exec "$venv/bin/python" -P -m aexad.bench "$@"
