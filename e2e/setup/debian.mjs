// Brings the Debian packages that are missing, and only those. On a system that isn't Debian or Ubuntu, or without root, it says what to run.
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { debianPackages } from './debian-packages.mjs';

const policy = '/usr/sbin/policy-rc.d';
const kept = `${policy}.kept-by-nixie`;
const policyMark = '# written by nixie for the time of an installation';
const aptOptions = ['-y', '-q', '--no-install-recommends', '-o', 'DPkg::Lock::Timeout=300', '-o', 'Dpkg::Use-Pty=0'];

function isDebian() {
  if (!existsSync('/etc/os-release')) return false;
  return /^ID(_LIKE)?=.*\b(debian|ubuntu)\b/m.test(readFileSync('/etc/os-release', 'utf8'));
}

/** Names of packages of the list that are not installed; undefined when dpkg can't be asked. */
export function missingPackages() {
  const names = debianPackages.map(([name]) => name);
  const asked = spawnSync('dpkg-query', ['-W', '-f', `\${db:Status-Abbrev} \${Package}\n`, ...names], {
    encoding: 'utf8',
  });
  if (asked.error !== undefined) return undefined;
  const installed = new Set(
    asked.stdout
      .split('\n')
      .filter((line) => line.startsWith('ii '))
      .map((line) => line.slice(3).trim()),
  );
  return names.filter((name) => !installed.has(name));
}

// A freshly installed server must not start: it would take port 67, 69 or 80. Debian asks this file before it starts anything.
function forbidStarts() {
  if (existsSync(policy) && !readFileSync(policy, 'utf8').includes(policyMark)) renameSync(policy, kept);
  writeFileSync(policy, `#!/bin/sh\n${policyMark}\nexit 101\n`, { mode: 0o755 });
}

function allowStarts() {
  if (existsSync(policy) && readFileSync(policy, 'utf8').includes(policyMark)) rmSync(policy);
  if (existsSync(kept)) renameSync(kept, policy);
}

function apt(args) {
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive', LC_ALL: 'C.UTF-8' };
  const ran = spawnSync('apt-get', [...aptOptions, ...args], {
    stdio: ['ignore', 'inherit', 'inherit'],
    env,
    timeout: 20 * 60_000,
  });
  if (ran.status !== 0)
    throw new Error(`apt-get ${args[0]} ended with ${ran.status ?? ran.signal ?? ran.error?.message}`);
}

/**
 * Returns undefined when all packages are there, otherwise what the operator has to do.
 * @param {(text: string) => void} say
 * @returns {string | undefined}
 */
export function bringPackages(say) {
  if (process.getuid?.() === 0) allowStarts(); // what an interrupted run may have left
  const missing = isDebian() ? missingPackages() : undefined;
  if (missing === undefined) {
    const names = debianPackages.map(([name, reason]) => `  ${name.padEnd(18)} ${reason}`).join('\n');
    return `this is not Debian or Ubuntu: install what these Debian packages hold\n${names}`;
  }
  if (missing.length === 0) return undefined;
  if (process.getuid?.() !== 0) {
    return `packages are missing; as root: apt-get update && apt-get install --no-install-recommends ${missing.join(' ')}`;
  }
  say(`installing ${missing.length} Debian packages: ${missing.join(' ')}`);
  apt(['update']);
  forbidStarts();
  try {
    apt(['install', ...missing]);
  } finally {
    allowStarts();
  }
  const still = missingPackages() ?? [];
  return still.length === 0 ? undefined : `apt-get installed everything but: ${still.join(' ')}`;
}
