// The deterministic simulation: a few hundred seeds, what makes a seed worth something (the same run
// everywhere, a short plan of every failure). To replay a seed: wsd sim
// --seed N --runs 1. The many seeds are sim.long.test.ts.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { runWsd } from '../cli/wsd-process.js';
import type { Plan } from './index.js';
import { makePlan, parsePlan, PlanError, printPlan, runBatch, shortest } from './index.js';
import { shrinkPlan } from './shrink.js';

const FIRST_SEED = 1;
const SEEDS = 100;

describe('a simulated run', () => {
  it(`keeps every promise, with faults and without, in ${SEEDS} seeds [SESS-08 XFER-05 XFER-06 XFER-13 SHUT-02 CLOSE-02 CLOSE-03 BLK-05 W9.13.4]`, async () => {
    const { failures, spiCalls } = await runBatch({ first: FIRST_SEED, count: SEEDS });
    expect(failures).toEqual([]);
    expect(spiCalls).toBeGreaterThan(50 * SEEDS);
  });

  it('goes the same way in any process, language and time zone, on however many threads', async () => {
    const args = ['sim', '--seed', '9000', '--runs', '24'];
    const elsewhere = { LC_ALL: 'tr_TR.UTF-8', LANG: 'tr_TR.UTF-8', TZ: 'Pacific/Apia' };
    const [one, two] = await Promise.all([
      runWsd([...args, '--jobs', '1']),
      runWsd([...args, '--jobs', '2'], elsewhere),
    ]);
    expect([one.code, two.code, one.stderr, two.stderr]).toEqual([0, 0, '', '']);
    const [first = ''] = one.stdout.split('\n');
    expect(two.stdout.split('\n')[0]).toBe(first);
    // On any machine. A change of what is simulated changes it: look why, then `npx vitest run -u`.
    expect(first).toMatchInlineSnapshot(`"24 runs from seed 9000, digest ae201e5da1c6d9de"`);
  });

  it('leaves the same trace, byte for byte, with no address and no time of this machine in it', async () => {
    const folder = mkdtempSync(path.join(tmpdir(), 'wsd-sim-test-'));
    try {
      const traces: string[] = [];
      for (const name of ['one', 'two']) {
        const trace = path.join(folder, name);
        const { code } = await runWsd(['sim', '--seed', '9', '--runs', '1', '--trace', trace]);
        expect(code).toBe(0);
        traces.push(readFileSync(trace, 'utf8'));
      }
      expect(traces[0]).toBe(traces[1]);
      expect(traces[0]).toContain('WSPConnect');
      expect(traces[0]).not.toMatch(/\d{13}/);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

describe('a plan', () => {
  it('is the same after it was written down and read', () => {
    for (let seed = 1; seed < 50; seed++) {
      const plan = makePlan(seed);
      expect(parsePlan(printPlan(plan), 'text')).toEqual(plan);
    }
  });

  it.each([
    ['', 'p:1: there is no plan in it'],
    ['connect from=0 to=1 port=0', 'p:1: a plan begins with "sim", not "connect"'],
    [`${world()}\n\nturns`, 'p:3: count:'],
    [`${world()}\nturns count=x`, 'p:2: count:'],
    [`${world()}\nturns count`, 'p:2: "count" is not name=value'],
    [`${world()}\nfly count=1`, 'p:2: kind:'],
  ])('%j is refused with its place', (text, message) => {
    expect(() => parsePlan(text, 'p')).toThrow(PlanError);
    expect(() => parsePlan(text, 'p')).toThrow(message);
  });

  it('that fails becomes as short as can be, and its pieces smaller', async () => {
    const plan = makePlan(4);
    const needed = plan.steps.filter(({ kind }) => kind === 'connect').slice(0, 2);
    const isBad = (one: Plan): Promise<boolean> =>
      Promise.resolve(needed.every((step) => one.steps.includes(step)));
    expect((await shrinkPlan(plan, isBad)).steps).toEqual(needed);
  });

  it('that does not fail is not made short', async () => {
    expect(await shortest({ ...makePlan(4), steps: [] })).toBeNull();
  });
});

describe('wsd sim', () => {
  it('refuses a plan that is none, and a trace of many runs, with exit code 2', async () => {
    const folder = mkdtempSync(path.join(tmpdir(), 'wsd-sim-test-'));
    try {
      const file = path.join(folder, 'wrong.plan');
      writeFileSync(file, 'nonsense\n');
      const wrong = await runWsd(['sim', '--script', file]);
      expect([wrong.code, wrong.stderr]).toEqual([2, expect.stringContaining('wrong.plan:1:')]);
      expect((await runWsd(['sim', '--runs', '2', '--trace', file])).code).toBe(2);
      writeFileSync(file, printPlan(makePlan(3)));
      expect((await runWsd(['sim', '--script', file])).code).toBe(0);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

function world(): string {
  return printPlan({ ...makePlan(1), steps: [] }).trim();
}
