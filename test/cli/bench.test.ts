// `wsd bench` at the smallest size: the report is of its stated form and covers both levels. How fast
// anything was is no test's business.

import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { parseReport } from '../../bench/report.js';
import { fabricExists, ownFabric, runWsd } from './wsd-process.js';

const TINY = ['--quick', '--iterations', '200', '--pairs', '2'];

describe('wsd bench', () => {
  it('prints a report that a program can read, and writes the same to a file', async () => {
    const fabric = ownFabric();
    const folder = mkdtempSync(path.join(tmpdir(), 'wsd-bench-'));
    try {
      const file = path.join(folder, 'report.json');
      const args = ['bench', '--fabric', fabric, ...TINY, '--json', '--out_json', file];
      const { code, stdout, stderr } = await runWsd(args);
      expect(stderr).toBe('');
      const report = parseReport(JSON.parse(stdout));
      expect(JSON.parse(readFileSync(file, 'utf8'))).toEqual(JSON.parse(stdout));
      expect(report.settings.iterations).toBe(200);
      expect(report.results.map(({ name }) => name)).toContain('provider.rdma-write');
      expect(code).toBe(0);
      expect(fabricExists(fabric)).toBe(false);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it('prints a table otherwise', async () => {
    const { code, stdout } = await runWsd(['bench', ...TINY, '--engine', 'worker']);
    expect(stdout).toContain('engine worker');
    expect(stdout).toMatch(/^application: WSASend\/WSARecv 64 B.*x floor\.spin/m);
    expect(code).toBe(0);
  });
});
