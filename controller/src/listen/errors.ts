// Why sockets could not be opened. Whoever starts the front doors tells these apart: all of them mean that this machine can't serve.

/** The process that holds a port, as far as /proc tells. */
export interface PortHolder {
  readonly pid: number;
  /** Name of its program, without folders. */
  readonly process: string;
}

/** The port is in use. `holder` is absent when the process can't be seen, for instance in another PID namespace. */
export class PortTaken extends Error {
  readonly port: number;
  readonly protocol: 'udp' | 'tcp';
  readonly address: string;
  readonly holder: PortHolder | undefined;

  constructor(at: { port: number; protocol: 'udp' | 'tcp'; address: string }, holder?: PortHolder) {
    const who = holder ? `${holder.process} (process ${holder.pid})` : 'a process that can not be seen from here';
    super(`open ${at.protocol} port ${at.port} on ${at.address}: it is held by ${who}`);
    this.name = 'PortTaken';
    this.port = at.port;
    this.protocol = at.protocol;
    this.address = at.address;
    this.holder = holder;
  }
}

/** No such network interface or address here, or it can't be used as it is; the message says which ones could. */
export class NoSuchInterface extends Error {
  readonly wanted: string;

  constructor(wanted: string, message: string) {
    super(message);
    this.name = 'NoSuchInterface';
    this.wanted = wanted;
  }
}

/** The kernel refused a low port or a socket bound to a device. */
export class NotRoot extends Error {
  constructor(action: string) {
    super(`${action}: not permitted; run as root, or with CAP_NET_BIND_SERVICE and CAP_NET_RAW`);
    this.name = 'NotRoot';
  }
}

/** A boot loader that a listed machine needs is not on this machine. */
export class LoaderMissing extends Error {
  readonly file: string;
  /** The package that brings it. */
  readonly package: string;

  constructor(file: string, packageName: string, message: string) {
    super(message);
    this.name = 'LoaderMissing';
    this.file = file;
    this.package = packageName;
  }
}
