#!/usr/bin/env bash
# The peer of the boot benchmark: the same install by hand, as short as a shell can do it, with no check and no proof but the last question.
# usage: peer-install.sh ADDRESS KEY DISKO TOPLEVEL
set -euo pipefail
address=$1 key=$2 disko=$3 toplevel=$4
options=(-F /dev/null -i "$key" -o IdentitiesOnly=yes -o BatchMode=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null
  -o LogLevel=ERROR -o ConnectTimeout=2)
remote() { ssh "${options[@]}" "root@$address" "$@"; }
reach() {
  local question=$1 wanted=$2 until=$((SECONDS + 300))
  while ((SECONDS < until)); do
    # A connection that a reboot cuts would wait for ever.
    [[ $(timeout 4 ssh "${options[@]}" "root@$address" "$question" 2>/dev/null || true) == "$wanted" ]] && return
    sleep 0.2
  done
  echo "no answer: $question" >&2
  exit 1
}
export NIX_SSHOPTS="${options[*]}"
copy() { nix --extra-experimental-features nix-command copy --no-check-sigs --to "$1" "$2"; }

reach 'echo here' here
echo STAGE registered
copy "ssh://root@$address" "$disko"
remote "$disko"
echo STAGE disko
copy "ssh://root@$address?remote-store=local%3Froot=%2Fmnt" "$toplevel"
echo STAGE copy
remote "nixos-install --no-root-passwd --no-channel-copy --system $toplevel"
echo STAGE install
remote 'nohup sh -c "sleep 0.2; reboot" >/dev/null 2>&1 </dev/null &'
echo STAGE rebooting
reach 'readlink /run/booted-system' "$toplevel"
echo STAGE proved
