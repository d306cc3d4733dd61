// Telling systemd how the service is. Node has no datagram socket for AF_UNIX, so the systemd-notify program does it.
import { execFile } from 'node:child_process';

/** Says a word such as `READY=1`; nothing without NOTIFY_SOCKET. Its failure is told and changes nothing. */
export function notify(
  env: Readonly<Record<string, string | undefined>>,
  word: 'READY=1' | 'STOPPING=1',
  failed: (text: string) => void,
): void {
  const { NOTIFY_SOCKET, PATH } = env;
  if (NOTIFY_SOCKET === undefined || NOTIFY_SOCKET === '') return;
  const argv = [`--pid=${process.pid}`, word];
  const options = { timeout: 5000, killSignal: 'SIGKILL', env: { PATH, NOTIFY_SOCKET } } as const;
  execFile('systemd-notify', argv, options, (error) => {
    if (error !== null) failed(`systemd-notify ${word}: ${error.message.split('\n')[0]}`);
  });
}
