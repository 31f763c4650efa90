// Every kind of fault can occur in a simulated run, and does in a swarm; and a seed leaves kinds of steps
// out. What must hold in spite of them is sim.test.ts.

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import * as spi from '../../provider/spi/index.js';
import type { Plan, RunResult, Step } from './index.js';
import { makePlan, parsePlan, runPlan, SimMachine } from './index.js';
import { connect, plainWorld, turns } from './plain-world.js';
import { ACCEPTING_WAYS, FAILABLE, FAILABLE_ONCE, READING_WAYS } from './plan.js';

const PLANS = 400;

/** A connection that carries little and much, before and after it was disturbed. */
function exchange(...between: Step[]): Step[] {
  const parts = [20_000];
  const memory = 'segment' as const;
  return [
    connect(0, 1),
    turns,
    ...between,
    { kind: 'send', conn: 0, side: 'a', parts, memory, urgent: false },
    { kind: 'receive', conn: 0, side: 'b', parts, memory, all: true },
    { kind: 'burst', conn: 0, side: 'b', count: 20, length: 50 },
    turns,
    { kind: 'drain', conn: 0, side: 'a', length: 5_000 },
    connect(1, 0),
    turns,
    { kind: 'close', conn: 0, side: 'a', hard: true },
    turns,
  ];
}

describe('a fault', () => {
  let machine: SimMachine;
  beforeAll(() => {
    machine = new SimMachine();
  });
  afterAll(() => {
    machine.close();
  });

  const run = (plan: Partial<Plan['world']>, steps: readonly Step[]): Promise<RunResult> =>
    runPlan(machine, { world: { ...plainWorld, ...plan }, steps }, { keepsText: true });

  it.each(FAILABLE)('of %s occurs, and everything ends as it must', async (call) => {
    const error = spi.WSAENOBUFS;
    const fail = (host: number): Step => ({ kind: 'fail', host, call, error, of: 1 });
    const read = call !== 'WSPRdmaWrite';
    const result = await run({ read }, exchange(fail(0), fail(1)));
    expect(result.failure).toBeNull();
    expect([...result.disturbed]).toContain(call);
  });

  it.each(FAILABLE_ONCE.slice(1))(
    'of %s at the start or the end of a host occurs',
    async (once) => {
      const result = await run({ once }, exchange());
      expect(result.failure).toBeNull();
      expect([...result.disturbed]).toContain(once);
    },
  );

  const arrived = /receive over 0 20000/;
  const others: readonly (readonly [what: string, step: Step, shows: RegExp])[] = [
    ['lost link', { kind: 'lose-link', host: 0, slot: 0 }, /send over 10053/],
    ['NIC that is taken out', { kind: 'take-nic-out', host: 1 }, /send over 10053/],
    ['NIC that is reset', { kind: 'reset-nic', host: 1 }, /send over 10053/],
    ['process that dies', { kind: 'die', host: 1 }, /send over 10054/],
    ['host that stands still', { kind: 'still', host: 1, micros: 500_000 }, /send over 995/],
    ['host without memory', { kind: 'no-memory', host: 1, on: true }, /no-memory/],
  ];
  it.each(others)('that is a %s occurs, and nothing arrives', async (_what, step, shows) => {
    const plain = await run({}, exchange());
    const { failure, text } = await run({}, exchange(step));
    expect([plain.failure, failure]).toEqual([null, null]);
    expect(plain.text).toMatch(arrived);
    expect(plain.text).not.toMatch(shows);
    expect(text).not.toMatch(arrived);
    expect(text).toMatch(shows);
  });

  it('that is a death right after a close over TCP/IP leaves the peer the end of the stream', async () => {
    const call = 'WSPEnumNetworkEvents';
    const { failure, text } = await run({}, [
      { kind: 'fail', host: 1, call, error: spi.WSAENETDOWN, of: 1 },
      connect(1, 0),
      turns,
      { kind: 'close', conn: 0, side: 'a', hard: false },
      { kind: 'die', host: 1 },
    ]);
    expect(failure).toBeNull();
    expect(text).toMatch(/receive over 0 0/);
  });

  it('of WSPRecv while a stream ends and several receives are to be posted ends well, too', async () => {
    const plan = `
    sim seed=601736 hosts=3 profile=real-switch cost=infiniband-ddr read=1 threshold=300 completion=immediate cache=1 verify=0 once=none
    connect from=2 to=1 port=1
    turns count=21
    send-now conn=0 side=a length=3408
    shutdown conn=0 side=b
    fail host=2 call=WSPRecv error=10055 of=1
    turns count=18
    turns count=24`;
    expect((await runPlan(machine, parsePlan(plan, 'plan'))).failure).toBeNull();
  });

  it('that is a late notification occurs, and everything arrives', async () => {
    const { failure, text, disturbed } = await run(
      {},
      exchange({ kind: 'delay', host: 1, turns: 3, of: 1 }),
    );
    expect(failure).toBeNull();
    expect([...disturbed]).toContain('WPUCompleteOverlappedRequest');
    expect(text).toMatch(arrived);
  });
});

describe('the swarm', () => {
  const plans = Array.from({ length: PLANS }, (_, seed) => makePlan(seed));
  const having = (holds: (plan: Plan) => boolean): number => plans.filter(holds).length;
  const kinds = [...new Set(plans.flatMap(({ steps }) => steps.map(({ kind }) => kind)))];

  it('uses every kind of step, and leaves each of them out of many seeds', () => {
    expect(kinds).toHaveLength(29);
    for (const kind of kinds) {
      const count = having(({ steps }) => steps.some((step) => step.kind === kind));
      expect([kind, count > PLANS / 50]).toEqual([kind, true]);
      // Without connections and time there is nothing.
      if (kind === 'connect' || kind === 'turns') continue;
      expect([kind, count < PLANS * 0.9]).toEqual([kind, true]);
    }
  });

  it('lets every call fail in some seed', () => {
    const calls = plans.flatMap(({ steps }) =>
      steps.flatMap((step) => (step.kind === 'fail' ? [step.call] : [])),
    );
    expect(new Set(calls)).toEqual(new Set(FAILABLE));
    expect(new Set(plans.map((plan) => plan.world.once))).toEqual(new Set(FAILABLE_ONCE));
    expect(new Set(plans.map((plan) => plan.world.reads))).toEqual(new Set(READING_WAYS));
    expect(new Set(plans.map((plan) => plan.world.accepts))).toEqual(new Set(ACCEPTING_WAYS));
  });
});
