// `wsd bench` at the smallest size: the summary, the tests in one command and in two terminals, the
// comparison of reports, limits, and the page. How fast anything was is no test's business.

import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { parseReport } from '../../bench/report.js';
import { dist, fabricExists, hostsOpen, ownFabric, runWsd, WsdProcess } from './wsd-process.js';

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
    const port = nextPort();
    const server = new WsdProcess(['bench', 'lat', '--server', '--fabric', fabric, '--port', port]);
    await server.said(/waiting for a client/);
    const client = await runWsd(['bench', 'lat', '127.77.0.1', '--port', port, ...SMALL, '--json']);
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

/** A measurement that nobody waits for: it lasts until one of the two terminals ends it. */
describe('two terminals of which one ends in the middle', () => {
  it.each([
    [
      'the server by Ctrl-C',
      'server',
      'SIGINT',
      [1, 130],
      /in the second process: ended by SIGINT/,
    ],
    ['the server by SIGKILL', 'server', 'SIGKILL', [1, null], /the server has gone/],
    ['the client by Ctrl-C', 'client', 'SIGINT', [130, 1], /gone in the middle of a measurement/],
    [
      'the client by SIGKILL',
      'client',
      'SIGKILL',
      [null, 1],
      /gone in the middle of a measurement/,
    ],
  ] as const)('%s: the other one says so and ends', async (_, who, signal, codes, sentence) => {
    const fabric = ownFabric();
    const at = ['--fabric', fabric, '--port', nextPort()];
    const server = new WsdProcess(['bench', 'lat', '--server', ...at]);
    await server.said(/waiting for a client/);
    const lasting = ['bench', 'lat', '127.77.0.1', '--port', at[3] ?? '', '-D', '600'];
    const client = new WsdProcess([...lasting, '--completion', 'event']);
    await hostsOpen(fabric, 2);
    (who === 'server' ? server : client).kill(signal);
    const ended = await Promise.all([client.ended, server.ended]);
    expect(ended.map(({ code }) => code)).toEqual(codes);
    expect(ended[who === 'server' ? 0 : 1].stderr).toMatch(sentence);
    // What was killed cannot sweep: the next one does.
    if (signal !== 'SIGKILL') expect(fabricExists(fabric)).toBe(false);
  });
});

it('a provider module of somebody else is measured like the reference provider', async () => {
  const module = path.join(dist, 'examples/minimal-provider/provider.js');
  for (const args of [
    ['bw', 'write'],
    ['lat', '--layer', 'app'],
  ]) {
    const { code, stdout } = await runWsd([
      'bench',
      ...args,
      ...SMALL,
      '--provider',
      module,
      '--json',
    ]);
    expect(code).toBe(0);
    const { parameters, results } = parseReport(JSON.parse(stdout));
    expect(parameters.provider).toContain('minimal-provider');
    expect(results[0]?.operations).toBe(30);
  }
  const reads = await runWsd(['bench', 'lat', 'read', ...SMALL, '--provider', module]);
  expect([reads.code, reads.stderr]).toEqual([1, expect.stringContaining('WSPRdmaRead')]);
});

/** Of this run alone. */
const PORT = 20_000 + (process.pid % 20_000);
let portCount = 0;

function nextPort(): string {
  return String(PORT + portCount++);
}
