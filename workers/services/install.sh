#!/bin/sh
# Installs what is missing: .venv with the locked packages, the interpreter tree of the sandbox
# (.venv/sandbox), and two programs of the system.
#   install.sh run    what `make run` needs
#   install.sh test   and what the tests need (the same, and Chromium)
#   install.sh all    the same as test, and asks the system's package manager again
# Environment: PYTHON (an interpreter >= 3.11), EXTRAS (default "demo logic dev").
# pip's own settings are honoured, so an index with CUDA or CPU builds of torch can be chosen there.
set -eu
cd "$(dirname "$0")/../.."
purpose=${1:-all}
extras=${EXTRAS:-demo logic dev}
torch=$(sed -n 's/^ *"\(torch==[^"]*\)".*/\1/p' pyproject.toml)
say() { printf '%s\n' "$*" >&2; }
is_root() { [ "$(id -u)" = 0 ]; }

apt_install() { # packages; fails where there is no apt, no root or no network
    is_root && command -v apt-get >/dev/null || return 1
    say "installing with apt: $*"
    # No network: fail after seconds, not minutes.
    quick="-o Acquire::http::Timeout=15 -o Acquire::https::Timeout=15 -o Acquire::Retries=0"
    export DEBIAN_FRONTEND=noninteractive
    # shellcheck disable=SC2086 # several options
    { timeout 900 apt-get $quick -qq install -y --no-install-recommends "$@" ||
        { timeout 120 apt-get $quick -qq update &&
            timeout 900 apt-get $quick -qq install -y --no-install-recommends "$@"; }; } \
        </dev/null >&2
}

find_python() { # prints an interpreter >= 3.11; the lock was made with 3.11
    for name in ${PYTHON:-python3.11 python3.12 python3.13 python3 python3.14 python}; do
        if "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$name"
            return
        fi
    done
    return 1
}

make_venv() {
    python=$(find_python) || {
        say "Whittle needs Python 3.11 or newer, and found none: install one, or name it in PYTHON."
        exit 1
    }
    if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
        version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
        apt_install "python$version-venv" || apt_install python3-venv || {
            say "$python cannot make virtual environments. On Debian or Ubuntu, as root:"
            say "    apt-get install python$version-venv"
            exit 1
        }
    fi
    say "making .venv with $python"
    "$python" -m venv .venv
}

fingerprint() { # of everything that decides what .venv should hold
    # shellcheck disable=SC2086 # several extras
    { .venv/bin/python workers/services/lock.py wanted $extras && cat requirements.lock &&
        .venv/bin/python --version; } |
        .venv/bin/python -c 'import hashlib, sys
print(hashlib.sha256(sys.stdin.buffer.read()).hexdigest())'
}

install_packages() {
    stamp=.venv/whittle-installed
    now=$(fingerprint)
    [ "$(cat $stamp 2>/dev/null)" = "$now" ] && return
    case " $extras " in *" demo "*)
        say "installing $torch (large; pip's own settings decide between CPU and CUDA builds)"
        .venv/bin/python -m pip install --quiet --no-input "$torch" || {
            say "$torch could not be installed. Without the demo teacher and the trainer:"
            say "    make install EXTRAS=dev"
            exit 1
        } ;;
    esac
    say "installing the locked packages"
    # shellcheck disable=SC2086 # several extras
    .venv/bin/python workers/services/lock.py wanted $extras >.venv/whittle-wanted.txt
    .venv/bin/python -m pip install --quiet --no-input \
        -c requirements.lock -r .venv/whittle-wanted.txt
    echo "$now" >$stamp
}

has_chromium() {
    for name in chromium chromium-browser google-chrome google-chrome-stable; do
        command -v "$name" >/dev/null && return
    done
    return 1
}

system_program() { # package, what is missing without it
    refused=.venv/whittle-without-$1
    [ "$purpose" = all ] && rm -f "$refused"
    [ -e "$refused" ] && return
    apt_install "$1" && return
    say "$1 is missing: $2. On Debian or Ubuntu, as root: apt-get install $1"
    say "(make install looks again)"
    : >"$refused"
}

if [ ! -x .venv/bin/python ] || ! .venv/bin/python -c 'import pip' 2>/dev/null; then
    make_venv
fi
install_packages
command -v bwrap >/dev/null ||
    system_program bubblewrap "code cannot be verified, everything else works"
# The interpreter in which candidates run; says itself what is missing without it.
.venv/bin/python workers/services/sandbox_tree.py || true
if [ "$purpose" != run ] && ! has_chromium; then
    system_program chromium "the browser tests cannot run"
fi
