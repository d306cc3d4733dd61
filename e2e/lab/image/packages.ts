/** Which Debian packages the lab's machines are made of. The flake gets the files; nothing here is ever installed on the host. */

/** Layers of packages; each layer's dependencies are resolved by apt and then thinned by `leftOut`. */
export const layers = {
  /** What an installed machine runs: systemd, udev, sshd, a shell. The installer has it too. */
  machine: [
    'systemd',
    'systemd-sysv',
    'udev',
    'openssh-server',
    'util-linux',
    'mount',
    'kmod',
    'iproute2',
    'bash',
    'dash',
    'coreutils',
    'findutils',
    'grep',
    'sed',
  ],
  /** What the installer has on top: nix, the tools of disko and nixos-install, the agent's libraries. */
  installer: [
    'nix-bin',
    'tar',
    'cpio',
    'gzip',
    'zstd',
    'jq',
    'fdisk',
    'parted',
    'e2fsprogs',
    'dosfstools',
    'cryptsetup-bin',
    'extlinux',
    'ethtool',
    'libstdc++6',
  ],
} as const;

export type Layer = keyof typeof layers;

/** Packages taken by themselves: unpacked one by one, dependencies never followed (a kernel is never installed). */
export const alone = ['busybox-static', 'systemd-boot-efi', 'extlinux', 'syslinux-common'] as const;

/** The package whose only dependency names the newest kernel. */
export const kernelMeta = 'linux-image-cloud-amd64';

/**
 * Dependencies that only serve a package's installation (debconf, perl, dpkg), its documentation, or a use that the lab has not:
 * an image without them is a third of the size.
 */
export const leftOut: readonly RegExp[] = [
  /^(lib)?perl/,
  /-perl$/,
  /^libpam-/,
  /^(debconf|dpkg|adduser|passwd|ucf|usrmerge|runit-helper|lsb-base|base-files|gcc-12-base|debianutils)$/,
  /^(sensible-utils|init-system-helpers|sysvinit-utils|procps|mawk|curl|libcurl4|bzip2|xz-utils|dmidecode)$/,
  /^(libsemanage.*|libsepol2|libaudit-common|libtirpc-common|readline-common|libproc2-0|libncursesw6)$/,
  /^(libgdbm.*|libcap2-bin|util-linux-extra|logsave|openssh-sftp-server|libcbor.*|libss2|mtools)$/,
];
