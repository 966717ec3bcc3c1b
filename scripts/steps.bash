# shellcheck shell=bash disable=SC2034  # what is set here is read by the scripts that source it
# Sourced by every script here: where things are, and how a script speaks.
# What is meant for a person goes to stderr, so that stdout can carry an answer to the calling script.

set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"
readonly root

# What this checkout made for itself; `make clean` removes it.
readonly work="$root/.cache"
# What other checkouts of this user can use too.
readonly shelf="${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/wildduck-sidecars"
# The demonstration is a Compose project; the label is on all that belongs to it, and on nothing else.
readonly demo_project=wildduck-sidecars-demo
readonly demo_label=com.docker.compose.project=$demo_project
# The exit status of a script that found no engine and may not start one.
readonly no_engine_possible=3

mkdir -p "$work"

step() { printf '==> %s\n' "$*" >&2; }
tell() { printf '    %s\n' "$*" >&2; }

# fail WHAT [ADVICE...]: says what failed and what to do about it, one line each, and ends the script.
fail() {
    printf 'FAILED: %s\n' "$1" >&2
    shift
    (($# == 0)) || printf '  to do: %s\n' "$@" >&2
    exit 1
}

is_root() { [[ $(id -u) == 0 ]]; }
have() { command -v "$1" >/dev/null 2>&1; }

# fingerprint FILE...: one short hash of the contents, for stamps and tags.
fingerprint() { sha256sum -- "$@" | cut -d' ' -f1 | sha256sum | cut -c1-12; }

# install_packages NAME...: those that this Debian or Ubuntu lacks. Returns 1 where that is not possible.
install_packages() {
    local name missing=()
    for name; do
        dpkg-query --show --showformat='${Status}\n' "$name" 2>/dev/null | grep -q '^install ok installed$' || missing+=("$name")
    done
    ((${#missing[@]})) || return 0
    is_root && have apt-get || return 1
    step "installing with apt: ${missing[*]} (log: .cache/apt.log)"
    # Straight away first: lists that are fresh enough need no update. A source that does not answer
    # makes `update` complain without harm, so only the installation itself is believed.
    apt_install "${missing[@]}" || {
        apt-get update >>"$work/apt.log" 2>&1 || true
        apt_install "${missing[@]}"
    }
}

apt_install() {
    DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends \
        -o DPkg::Lock::Timeout=120 "$@" >>"$work/apt.log" 2>&1
}

# The environment's pip. Where packages come from is a matter of this machine's pip configuration.
pip() {
    if ! .venv/bin/python -m pip --disable-pip-version-check "$@" >"$work/pip.log" 2>&1; then
        grep -E '^ *ERROR' "$work/pip.log" | tail -n 5 >&2
        return 1
    fi
}

# The version of the engine that answers at DOCKER_HOST, the current context or the default socket.
engine_version() { timeout 10 docker version --format '{{.Server.Version}}' 2>/dev/null; }

has_image() { docker image inspect "$1" >/dev/null 2>&1; }
