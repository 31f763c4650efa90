// The demonstration end to end, in two processes of its own: a file arrives whole; a process that is
// killed in the middle of a transfer is noticed, cleaned up after, and in nobody's way later.

import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { fabricExists, ownFabric, processGone, runWsd, WsdProcess } from './wsd-process.js';

const FILE = fileURLToPath(new URL('../../package-lock.json', import.meta.url));
/** So often that no machine is done before the test has looked. */
const ENDLESS = ['--repeat', '1000000', '--progress', 'lines', '--no-table'];

function demo(fabric: string, ...args: readonly string[]): readonly string[] {
  return ['demo', FILE, '--fabric', fabric, '--quick', ...args];
}

/** A demonstration in the middle of its transfer, and the id of its second process. */
async function midTransfer(fabric: string): Promise<{ first: WsdProcess; secondPid: number }> {
  const first = new WsdProcess(demo(fabric, ...ENDLESS));
  const [, pid] = await first.printed(/127\.77\.0\.2 \(process (\d+)\)/);
  await first.printed(/^\d+ %$/m);
  return { first, secondPid: Number(pid) };
}

async function runsAgain(fabric: string): Promise<void> {
  const { code, stderr } = await runWsd(demo(fabric, '--no-table'));
  expect(stderr).toBe('');
  expect(code).toBe(0);
  expect(fabricExists(fabric)).toBe(false);
}

describe('wsd demo', () => {
  it('sends a file through the SAN provider, verifies it there, and measures', async () => {
    const fabric = ownFabric();
    const { code, stdout, stderr } = await runWsd(demo(fabric));
    const digest = createHash('sha256').update(readFileSync(FILE)).digest('hex');
    expect(stderr).toBe('');
    expect(stdout).toContain(`SHA-256 sent      ${digest}`);
    expect(stdout).toContain(`SHA-256 received  ${digest}`);
    expect(stdout).toMatch(/^by RDMA +[1-9]\d* +[1-9]\d*$/m);
    expect(stdout).toMatch(/^by TCP\/IP +0 +0$/m);
    expect(stdout).toMatch(/^SAN connections +1 +1$/m);
    for (const row of ['NIC inline', 'NIC in worker threads', 'kernel TCP', 'floor']) {
      expect(stdout).toMatch(new RegExp(`^.*${row}.* \\d[\\d.]* (ns|us) +\\d[\\d.]* GB/s$`, 'm'));
    }
    expect(code).toBe(0);
    expect(fabricExists(fabric)).toBe(false);
  });

  it.each(['inline', 'worker'])('sends with the NIC %s', async (engine) => {
    const fabric = ownFabric();
    const run = await runWsd(demo(fabric, '--engine', engine, '--no-table', '--repeat', '3'));
    expect(run.stderr).toBe('');
    expect(run.stdout).toContain(`NIC ${engine}`);
    expect(run.code).toBe(0);
    expect(fabricExists(fabric)).toBe(false);
  });

  it('says WSAECONNRESET when the second process is killed in mid-transfer', async () => {
    const fabric = ownFabric();
    const { first, secondPid } = await midTransfer(fabric);
    process.kill(secondPid, 'SIGKILL');
    const { code, stderr } = await first.ended;
    expect(stderr).toContain('WSAECONNRESET');
    expect(stderr).not.toMatch(/^\s+at /m);
    expect(code).toBe(1);
    expect(fabricExists(fabric)).toBe(false);
    await runsAgain(fabric);
  });

  it('leaves neither a process nor a file when the first process is killed', async () => {
    const fabric = ownFabric();
    const { first, secondPid } = await midTransfer(fabric);
    first.kill('SIGKILL');
    // Its output is closed when the second process, which shares it, is gone too.
    await first.ended;
    await processGone(secondPid);
    expect(fabricExists(fabric)).toBe(false);
    await runsAgain(fabric);
  });

  it('starts again without clean-up after both processes were killed', async () => {
    const fabric = ownFabric();
    const { first, secondPid } = await midTransfer(fabric);
    process.kill(secondPid, 'SIGKILL');
    first.kill('SIGKILL');
    await first.ended;
    await processGone(secondPid);
    await runsAgain(fabric);
  });

  it.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const)('ends its second process and leaves nothing at %s', async (signal, expected) => {
    const fabric = ownFabric();
    const { first, secondPid } = await midTransfer(fabric);
    first.kill(signal);
    const { code, stderr } = await first.ended;
    expect(stderr).toBe(`wsd: ended by ${signal}\n`);
    expect(code).toBe(expected);
    await processGone(secondPid);
    expect(fabricExists(fabric)).toBe(false);
  });
});
