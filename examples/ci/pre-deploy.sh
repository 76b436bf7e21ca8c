#!/usr/bin/env bash
# Before a new server goes live: does it keep its promise now, and is nothing about to die?
#
#   pre-deploy.sh staging.example:8443 ca.pem [must-staple]
#
# It waits for a server that is still starting. Exit 0: go; 1: do not; 2: wrong usage; 3: it did not answer.
set -euo pipefail

if (($# < 2 || $# > 3)); then
    echo "usage: ${0##*/} HOST:PORT CA.pem [POLICY]" >&2
    exit 2
fi
target=$1 ca=$2 policy=${3:-must-staple}
as_asked=(--ca "$ca" --policy "$policy" --timeout 10s)

# What a client sees, with a warning that fails: a staple that dies tonight is an outage tomorrow.
mustaple check "$target" "${as_asked[@]}" --wait "${WAIT:-60s}" --warn-before 12h --fail-on-warning

# And the test itself: a check that accepts a server whose CA it does not know would have proved nothing above.
nobody=$(mktemp -d)
trap 'rm -r "$nobody"' EXIT
mustaple issue nobody.example --out "$nobody/d" >/dev/null
mustaple check "$target" --ca "$nobody/d/root.pem" --policy "$policy" --timeout 10s --expect refused:path-invalid >/dev/null

echo "$target may go live"
