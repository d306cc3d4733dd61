// Run inside a namespace with its own /nix and a nix daemon: prints, as JSON, what becomes of one host when Nixie is called through sudo.
// Arguments: folder of the flake, folder for GC roots, folder for a private home.
import { build } from '../../controller/src/nix/build.ts';
import { evaluate } from '../../controller/src/nix/evaluate.ts';
import { findRights, folderProbe, makeRunner } from '../../controller/src/nix/runner.ts';
import type { Output } from '../../controller/src/nix/types.ts';

const [flake = '', gcRootsDir = '', homeDir = ''] = process.argv.slice(2);
const nowMs = () => performance.now();
const { as: who, ...rights } = await findRights({ env: process.env, folders: [flake], homeDir });
const run = makeRunner(process.env, who === undefined ? rights : { as: who });
const hosts = [{ name: 'm1', flakeAttr: 'm1' }];
const evaluation = await evaluate({ flake, installers: {}, hosts, run, cwd: '/', probe: folderProbe, nowMs });
const host = evaluation.hosts.m1!;
const wanted: Record<string, Output[]> = host.ok ? { m1: [host.value.toplevel] } : {};
const built = await build({ wanted, run, nowMs, gcRootsDir });
process.stdout.write(`${JSON.stringify({ who, host, built })}\n`);
