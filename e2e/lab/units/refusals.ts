// What the kernel refused to the services' programs because of their units' filters of system calls, from its log (audit message 1326).

export interface Refusal {
  /** Of the program's file. */
  readonly program: string;
  readonly syscall: number;
}

/** The number of a system call on x86-64, by which the log tells of it. */
export const syscalls = { socket: 41, mprotect: 10, setuid: 105, pkey_mprotect: 329, clone3: 435 } as const;

export function readRefusals(kernelLog: string): Refusal[] {
  return [...kernelLog.matchAll(/type=1326 .*exe="([^"]*)".* syscall=(\d+) /g)].map(([, exe, syscall]) => ({
    program: exe!.split('/').at(-1)!,
    syscall: Number(syscall),
  }));
}

/**
 * Those that nobody expects, once each. Expected are three, which all take a no: glibc asks for a thread by clone3, which systemd answers as a kernel
 * that doesn't have it (RestrictNamespaces=: the filter can't read its flags); busybox gives up the rights of a set-uid program, which it isn't; and the
 * controller listens for other DHCP servers on a packet socket, where it may (services.nixie.hearOtherServers).
 */
export function unexpected(refusals: readonly Refusal[]): string[] {
  const odd = refusals.filter(
    ({ program, syscall }) =>
      syscall !== syscalls.clone3 &&
      !(program === 'busybox' && syscall === syscalls.setuid) &&
      !(program === 'node' && syscall === syscalls.socket),
  );
  return [...new Set(odd.map(({ program, syscall }) => `${program}: system call ${syscall}`))];
}
