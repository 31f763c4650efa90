// `wsd bench` at the smallest size: the summary, the tests in one command and in two terminals, the
// comparison of reports, limits, the page, and what is refused. How fast anything was is no test's business.

import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { parseReport } from '../../bench/report.js';
import { fabricExists, ownFabric, runWsd, WsdProcess } from './wsd-process.js';

const TINY = ['--quick', '--iterations', '200', '--pairs', '1'];
/** A test that is over at once, on a machine that others use. */
const SMALL = ['-n', '30', '--completion', 'event'];

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'wsd-bench-'));
});
afterEach(() => {
  rmSync(folder, { recursive: true });
});

describe('wsd bench', () => {
  it('prints a report that a program can read, and writes the same to a file', async () => {
    const fabric = ownFabric();
    const file = path.join(folder, 'report.json');
    const args = ['bench', '--fabric', fabric, ...TINY, '--json', '--out_json', file];
    const { code, stdout, stderr } = await runWsd(args);
    expect(stderr).toBe('');
    const report = parseReport(JSON.parse(stdout));
    expect(JSON.parse(readFileSync(file, 'utf8'))).toEqual(JSON.parse(stdout));
    expect(report.parameters.further['iterations']).toBe(200);
    expect(report.results.map(({ name }) => name)).toContain('provider.rdma-write');
    expect(code).toBe(0);
    expect(fabricExists(fabric)).toBe(false);
  });
});

describe('wsd bench lat', () => {
  it('prints the columns of perftest, floors beside them, and nothing on standard error', async () => {
    const args = ['bench', 'lat', 'send', '-s', '64,1K', ...SMALL, '--floors', '--pairs', '1'];
    const { code, stdout, stderr } = await runWsd([...args, '-H']);
    expect([code, stderr]).toEqual([0, '']);
    expect(stdout).toMatch(
      /^ #bytes +#iterations +t_min\[usec\] +t_max\[usec\] +t_typical\[usec\]/m,
    );
    expect(stdout).toMatch(/^ 1024 +30 +\d+\.\d\d +\d+\.\d\d/m);
    expect(stdout).toMatch(/^floor: C\+\+ spinning on two words/m);
    expect(stdout).toMatch(/^ *99\.9% +\d/m);
  });

  it('runs in two terminals: a server that ends after its client', async () => {
    const fabric = ownFabric();
    const server = new WsdProcess(['bench', 'lat', '--server', '--fabric', fabric, '--port', PORT]);
    const client = await retried(() =>
      runWsd(['bench', 'lat', '127.77.0.1', '--port', PORT, ...SMALL, '--json']),
    );
    expect(client.stderr).toBe('');
    const [result] = parseReport(JSON.parse(client.stdout)).results;
    const digests = result?.samples[0]?.digests;
    expect(new Set(digests).size).toBe(1);
    expect((await server.ended).code).toBe(0);
    expect(fabricExists(fabric)).toBe(false);
  });

  it('writes a page with pictures', async () => {
    const args = ['bench', 'lat', '-s', '64,4K', ...SMALL, '--report', folder, '--layer', 'app'];
    expect((await runWsd(args)).code).toBe(0);
    for (const name of ['index.html', 'latency-by-size.svg', 'distribution.svg']) {
      expect(existsSync(path.join(folder, name))).toBe(true);
    }
  });
});

describe('wsd bench bw', () => {
  it('fails below a limit, and compares with an earlier report', async () => {
    const file = path.join(folder, 'bw.json');
    const args = ['bench', 'bw', 'write', '-s', '4K', ...SMALL, '--out_json', file];
    const limited = await runWsd([...args, '-w', '1000000', '--report_gbits']);
    expect(limited.code).toBe(1);
    expect(limited.stderr).toMatch(/bandwidth \d+\.\d\d below 1000000/);
    expect(limited.stdout).toContain('BW average[Gb/sec]');
    const compared = await runWsd(['bench', 'compare', file, file]);
    expect(compared.code).toBe(0);
    expect(compared.stdout).toMatch(/^provider\.bw\.write\.4096/m);
  });

  it('ends after the duration that it was given', async () => {
    const args = ['bench', 'rate', '-D', '0.2', '-f', '0.05', '--completion', 'event', '--json'];
    const { code, stdout } = await runWsd(args);
    expect(code).toBe(0);
    const { parameters, results } = parseReport(JSON.parse(stdout));
    expect(parameters.plans[0]?.duration).toEqual({ nanos: 0.2e9, marginNanos: 0.05e9 });
    expect(results[0]?.operations).toBeGreaterThan(0);
  });
});

it.each([
  [['lat', 'write', '-s', '3'], 'multiple of 4'],
  [['bw', 'write', '--layer', 'app'], 'no RDMA write'],
  [['lat', 'fetch'], 'fetch is no operation'],
  [['lat', '--completion', 'port'], 'only with --layer app'],
  [['bw', '-s', '12Q'], 'not a size'],
  [['compare', 'package.json', 'package.json'], 'no report of this version'],
  [['lat', '-s', '128M'], 'at most 64M'],
  [['lat', '-D', '1', '-n', '3'], 'not both'],
  [['lat', '-w', '3'], 'has no bandwidth'],
  [['bw', '-t', '128'], 'hold 64'],
  [['lat', '-n', '3', '--report', '/proc/nowhere'], 'cannot be written'],
  [['latency'], 'is no test'],
])('wsd bench %j is refused with a sentence', async (args, sentence) => {
  const { code, stderr } = await runWsd(['bench', ...args]);
  expect(code).toBe(2);
  expect(stderr).toContain(sentence);
});

/** Of this run alone. */
const PORT = String(20_000 + (process.pid % 20_000));
const TRIES = 20;

/** The server needs a while until it listens. */
async function retried<T extends { readonly code: number | null; readonly stderr: string }>(
  run: () => Promise<T>,
): Promise<T> {
  let ended = await run();
  for (let left = TRIES; left > 0 && ended.stderr.includes('ECONNREFUSED'); left--) {
    ended = await run();
  }
  return ended;
}
