// What applications do in a simulated run besides overlapped sends and receives: they wait in calls, for
// select or for network events, and want no more. What must hold in every run is sim.test.ts.

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Plan, RunResult, Step } from './index.js';
import { runPlan, SimMachine } from './index.js';
import { connect, plainWorld, turns } from './plain-world.js';

const world: Plan['world'] = { ...plainWorld, read: true };

describe('an application', () => {
  let machine: SimMachine;
  beforeAll(() => {
    machine = new SimMachine();
  });
  afterAll(() => {
    machine.close();
  });

  const large = (side: 'a' | 'b'): Step => {
    return { kind: 'send', conn: 0, side, parts: [80_000, 10], memory: 'process', urgent: false };
  };
  const run = (plan: Partial<Plan['world']>, ...steps: Step[]): Promise<RunResult> => {
    const all = [connect(0, 1), turns, ...steps];
    return runPlan(machine, { world: { ...world, ...plan }, steps: all }, { keepsText: true });
  };

  it.each(['select', 'events'] as const)(
    'that reads by %s, and only then, gets large and small data and the end [W10.3 W10.8 W10.12]',
    async (reads) => {
      const { failure, text } = await run({ reads }, large('a'));
      expect(failure).toBeNull();
      expect(text).toMatch(/recv \d+ 50000/);
      expect(text).toMatch(/recv \d+ 0/);
      expect(text).not.toMatch(/receive over/);
    },
  );

  it('that waits in a call has what comes meanwhile, and an error when its time is up [BLK-03 W4.20 W8.1.16]', async () => {
    const wait = { kind: 'receive-wait', conn: 0, side: 'b', length: 90_000, millis: 20 } as const;
    const { failure, text } = await run({}, large('a'), wait, wait, wait);
    expect(failure).toBeNull();
    expect(text.match(/blocking recv \d+ \S+/g)).toHaveLength(3);
    expect(text).toMatch(/blocking recv \d+ \d{3}/);
    expect(text).toMatch(/blocking recv \d+ -1/);
  });

  it('asks select and WSAPoll, and can do what they say [W10.12 W2.6]', async () => {
    const asks = (['a', 'b'] as const).map((side): Step => ({ kind: 'ask', conn: 0, side }));
    const { failure, text } = await run({}, large('a'), turns, ...asks);
    expect(failure).toBeNull();
    expect(text).toMatch(/recv \d+ 1\n/);
    expect(text).toMatch(/send \d+ 1\n/);
  });

  it('that wants no more lets a large send of its peer end [W9.10.4 SHUT-01]', async () => {
    const deafen: Step = { kind: 'deafen', conn: 0, side: 'b' };
    const { failure, text } = await run({}, deafen, large('a'));
    expect(failure).toBeNull();
    expect(text).toMatch(/send over 0 80010/);
    expect(text).not.toMatch(/WSPRdmaRead/);
  });

  it('keeps its connection when the provider goes out of use, and gets the next one by TCP/IP [INST-07]', async () => {
    const remove: Step = { kind: 'remove-provider', host: 0 };
    const { failure, text } = await run({}, remove, large('a'), connect(0, 1), turns);
    expect(failure).toBeNull();
    expect(text.match(/host 0: WSPConnect/g)).toHaveLength(1);
    expect(text.match(/connected \d 0/g)).toHaveLength(2);
    expect(text).toMatch(/WSPRdmaRead/);
  });

  it.each(['AcceptEx', 'AcceptEx-with-data'] as const)(
    'that takes connections with %s gets them, and what comes first [XFER-17 ACC-01 ACC-05]',
    async (accepts) => {
      const first: Step = { kind: 'connect-ex', from: 1, to: 0, port: true, first: 30 };
      const { failure, text } = await run({ accepts }, first, large('a'));
      expect(failure).toBeNull();
      expect(text.match(/accepted \d 0/g)).toHaveLength(2);
      expect(text).toMatch(/connected 1 0/);
    },
  );

  it('that sends with TransmitFile and ends with DisconnectEx is told when each is over [XFER-17]', async () => {
    const transmit: Step = {
      kind: 'transmit',
      conn: 0,
      side: 'a',
      parts: [40_000, 5],
      memory: 'segment',
    };
    const disconnect: Step = { kind: 'disconnect', conn: 0, side: 'a', reuse: true };
    const read: Step = { kind: 'receive-wait', conn: 0, side: 'b', length: 90_000, millis: 20 };
    const { failure, text } = await run({}, transmit, read, read, turns, disconnect);
    expect(failure).toBeNull();
    expect(text).toMatch(/send over 0 40005/);
    expect(text).toMatch(/send over 0 0/);
  });

  it('meets a provider that is unlike its own, in both directions [XFER-11]', async () => {
    const { failure, text } = await run({ unequal: true }, large('a'), large('b'));
    expect(failure).toBeNull();
    expect(text).toMatch(/WSPRdmaRead/);
    expect(text).toMatch(/WSPRdmaWrite/);
  });
});
