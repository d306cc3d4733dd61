// A real nix daemon in front of what a test starts in namespaces with a /nix of their own.

/**
 * Lines for `sh -e`: start the daemon, whose words go to the file of that name (expanded by the shell), wait until the kernel says that it listens,
 * and end it with the script. A killed daemon leaves its socket's file behind, so that the file alone says nothing.
 */
export function startNixDaemon(log: string): string {
  return `
socket=/nix/var/nix/daemon-socket/socket
rm -f $socket
env -u SUDO_USER -u SUDO_UID -u SUDO_GID nix-daemon >"${log}" 2>&1 &
daemon=$!
trap 'kill $daemon 2>/dev/null || :' EXIT
n=0
while ! grep -q " 00010000 .* $socket$" /proc/net/unix; do n=$((n + 1)); [ $n -lt 600 ] || exit 99; sleep 0.1; done
`;
}
