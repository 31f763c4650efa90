// The provider's contract over the real NIC: inline and worker engines, one process and two, in every
// profile that says something about a provider. What needs a NIC that can be told to fail is beside
// this file, over the one in memory.

import { setImmediate as immediate } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import * as spi from '../../../provider/spi/index.js';
import type { RdmaCall } from './real-end.js';
import type { Arrangement, Connection, End } from './real-pair.js';
import { FAR, NOBODY, RealPair } from './real-pair.js';

const ARRANGEMENTS: readonly Arrangement[] = ['inline engines', 'worker engines', 'two processes'];
const PROFILES: readonly spi.ProfileName[] = ['documented', 'real-switch', 'hostile'];
const SUITES = ARRANGEMENTS.flatMap((arrangement) =>
  PROFILES.map((profile) => [arrangement, profile] as const),
);

/** A message of this many bytes fits everywhere, and a negotiation message is no longer. [SESS-05] */
const MESSAGE_BYTES = 256;
const BLOCK_BYTES = 4096;
const SUCCESS = { error: 0, bytes: MESSAGE_BYTES };

/** Starts something as soon as the queue has room for it. */
async function started(start: () => Promise<number>, full: number): Promise<number> {
  for (;;) {
    const operation = await start();
    if (operation !== -full) {
      expect(operation).toBeGreaterThanOrEqual(0);
      return operation;
    }
    await immediate();
  }
}

async function registered(end: End, s: number, value: number, flags = spi.MEM_READWRITE) {
  const block = await end.allocate(BLOCK_BYTES, value % 2 === 0 ? 'segment' : 'ordinary', value);
  const handle = await end.register(s, block, flags);
  expect(handle).toBeGreaterThan(0);
  return { block, handle };
}

function numbered(count: number, first: number): Uint8Array {
  return Uint8Array.from({ length: count }, (_, index) => first + index);
}

describe.each(SUITES)('the provider over %s, profile %s', (arrangement, name) => {
  const profile = spi.PROFILES[name];
  const full = profile.sendQueueFullError;
  const flushed = (error: number): number => profile.flushedReceiveError ?? error;
  const opened: RealPair[] = [];
  const pairOf = (): RealPair => opened[0] as RealPair;

  beforeAll(async () => {
    opened.push(await RealPair.open(arrangement, profile));
  });

  afterAll(async () => {
    await pairOf().close();
  });

  it('carries messages in order, both ways, each into one receive, and ends each operation once [WSPSEND-04 WSPSEND-07 WSPRECV-03 OVL-05 OVL-06 OVL-14]', async () => {
    const pair = pairOf();
    const connection = await pair.connect();
    for (const [from, to, s, peer] of [
      [pair.near, pair.far, connection.near, connection.far],
      [pair.far, pair.near, connection.far, connection.near],
    ] as const) {
      const source = await registered(from, s, 0);
      const target = await registered(to, peer, 1);
      await from.write(source.block, 0, numbered(BLOCK_BYTES, 0));
      const sizes = [1, 96, 97, 255, 256, 0];
      const received: number[] = [];
      const sent: number[] = [];
      for (const [index, size] of sizes.entries()) {
        const at = index * MESSAGE_BYTES;
        const room = { block: target.block, from: at, to: at + MESSAGE_BYTES };
        const message = { block: source.block, from: index, to: index + size };
        if (index === 3) for (const one of sent) await from.outcome(one);
        received.push(await started(() => to.receive(peer, room, index % 2 === 0), full));
        sent.push(await started(() => from.send(s, message, index % 2 === 1), full));
        if (received.length % 2 === 0) await to.outcome(received.at(-1) ?? 0);
      }
      for (const [index, bytes] of sizes.entries()) {
        const upcalls = index % 2;
        expect(await to.outcome(received[index] ?? 0)).toEqual({ error: 0, bytes, upcalls });
        const ended = await from.outcome(sent[index] ?? 0);
        expect(ended).toEqual({ error: 0, bytes, upcalls: 1 - upcalls });
        const part = { block: target.block, from: index * 256, to: index * 256 + bytes };
        expect(await to.read(part)).toEqual(numbered(bytes, index));
      }
    }
    await pair.disconnect(connection);
  });

  it('holds early messages of 256 bytes, as many as were sent, for the receives to come [SESS-05 SESS-06 SESS-07]', async () => {
    const pair = pairOf();
    const { near, far } = pair;
    const connection = await pair.connect();
    const source = await registered(near, connection.near, 0);
    const count = Math.min(profile.sendQueueDepth ?? 12, profile.receiveQueueDepth ?? 12, 12);
    const sent: number[] = [];
    for (let index = 0; index < count; index++) {
      await near.write(source.block, index * 256, new Uint8Array(256).fill(index + 1));
      const message = { block: source.block, from: index * 256, to: (index + 1) * 256 };
      sent.push(await near.send(connection.near, message, true));
    }
    expect(sent.every((operation) => operation >= 0)).toBe(true);
    const target = await registered(far, connection.far, 0);
    for (let index = 0; index < count; index++) {
      const room = { block: target.block, from: 0, to: 256 };
      const received = await far.receive(connection.far, room, true);
      expect(await far.outcome(received)).toMatchObject(SUCCESS);
      expect(await far.read(room)).toEqual(new Uint8Array(256).fill(index + 1));
    }
    for (const operation of sent) expect(await near.outcome(operation)).toMatchObject(SUCCESS);
    await pair.disconnect(connection);
  });

  it('moves memory by RDMA, both ways, from and to any offset, and no message overtakes it [REGMEM-01 RDMA-01 RDMA-02 RDMA-03 RDMA-05 RDMA-09 REGRDMA-01]', async () => {
    const pair = pairOf();
    const { near, far } = pair;
    const connection = await pair.connect();
    const s = connection.near;
    const most = Math.min(await near.option(s, spi.SO_MAX_RDMA_SIZE), 1000);
    const local = await registered(near, s, 4);
    const target = await far.allocate(BLOCK_BYTES, 'ordinary', 5);
    const descriptor = await far.expose(connection.far, target, spi.MEM_READWRITE);
    const inbox = await registered(far, connection.far, 6);
    const room = { block: inbox.block, from: 0, to: 64 };
    const done = await far.receive(connection.far, room, true);
    const call: RdmaCall = {
      isRead: false,
      handle: local.handle,
      local: { block: local.block, from: 8, to: 8 + most },
      descriptor,
      offset: 100,
    };
    await started(() => near.rdma(s, call), full);
    // "Written": when it arrives, the bytes are there.
    const note = { block: local.block, from: 0, to: 8 };
    await started(() => near.send(s, note, true), full);
    expect(await far.outcome(done)).toMatchObject({ error: 0, bytes: 8 });
    const written = { block: target, from: 0, to: 100 + most + 1 };
    const expected = new Uint8Array(100 + most + 1).fill(4, 100, 100 + most);
    expected.fill(5, 0, 100).fill(5, 100 + most);
    expect(await far.read(written)).toEqual(expected);
    await far.write(target, 0, new Uint8Array(64).fill(9));
    const reading = { ...call, isRead: true, local: { ...call.local, to: 72 }, offset: 0 };
    const read = await started(() => near.rdma(s, reading), full);
    expect(await near.outcome(read)).toMatchObject({ error: 0, bytes: 64 });
    expect(await near.read(reading.local)).toEqual(new Uint8Array(64).fill(9));
    await pair.disconnect(connection);
  });

  const forbidden: readonly [string, (world: Forbidden) => Promise<Partial<RdmaCall>>][] = [
    [
      'writing where reading is allowed',
      async ({ far, peer, block }) => {
        return { isRead: false, descriptor: await far.expose(peer, block, spi.MEM_READ) };
      },
    ],
    [
      'reading where writing is allowed',
      async ({ far, peer, block }) => {
        return { isRead: true, descriptor: await far.expose(peer, block, spi.MEM_WRITE) };
      },
    ],
    [
      'what is exposed no more, though still pinned',
      async ({ far, peer, block }) => {
        const descriptor = await far.expose(peer, block, spi.MEM_READWRITE);
        expect(await far.conceal(peer, descriptor)).toBe(0);
        return { isRead: false, descriptor };
      },
    ],
    [
      'what is exposed on another connection',
      async ({ far, other, block }) => {
        const descriptor = await far.expose(other.far, block, spi.MEM_READWRITE);
        return { isRead: false, descriptor };
      },
    ],
  ];

  interface Forbidden {
    readonly far: End;
    readonly peer: number;
    readonly other: Connection;
    readonly block: number;
  }

  it.each(forbidden)(
    'refuses the peer %s, and no byte moves [RDMA-10 MEM-03 MEM-04 MEM-05 MEM-06 REGRDMA-06 DEREGRDMA-02 CACHE-06 W14.14]',
    async (_title, prepare) => {
      const pair = pairOf();
      const { near, far } = pair;
      const connection = await pair.connect();
      const other = await pair.connect();
      const local = await registered(near, connection.near, 2);
      const block = await far.allocate(BLOCK_BYTES, 'segment', 1);
      const access = await prepare({ far, peer: connection.far, other, block });
      const call = { local: { block: local.block, from: 0, to: 64 }, handle: local.handle };
      const whole = { isRead: false, descriptor: new Uint8Array(0), offset: 0, ...call, ...access };
      const outcome = await near.outcome(await near.rdma(connection.near, whole));
      expect(outcome).toEqual({ error: spi.WSAECONNABORTED, bytes: 0, upcalls: 0 });
      expect((await far.read({ block, from: 0, to: BLOCK_BYTES })).every((one) => one === 1)).toBe(
        true,
      );
      const mine = await near.read({ block: local.block, from: 0, to: 64 });
      expect(mine.every((one) => one === 2)).toBe(true);
      await pair.disconnect(connection);
      await pair.disconnect(other);
    },
  );

  it('says why it cannot connect, and names only finals that are final [CONNECT-04 CONNECT-05 CONNECT-06 ACCEPT-05 ACC-04 EVT-09 LISTEN-04 LSN-04]', async () => {
    const pair = pairOf();
    const { near, far } = pair;
    const outcomeOf = async (to: string, port: number): Promise<number> => {
      const s = await near.connect(pair.port(), to, port);
      const outcome = await near.connected(s);
      await near.close(s);
      return outcome;
    };
    expect(await outcomeOf(FAR, 4999)).toBe(spi.WSAECONNRESET);
    expect(await outcomeOf(NOBODY, 4999)).toBe(spi.WSAETIMEDOUT);
    const port = pair.port();
    const listener = await far.listen(port, FAR, 1);
    const waiting = await near.connect(pair.port(), FAR, port);
    expect(await outcomeOf(FAR, port)).toBe(spi.WSAECONNREFUSED);
    expect(await far.accept(listener, spi.CF_REJECT)).toBe(-spi.WSAECONNREFUSED);
    expect(await near.connected(waiting)).toBe(spi.WSAECONNREFUSED);
    await near.close(waiting);
    await far.close(listener);
  });

  it('accepts what comes to its address through a listener on 0.0.0.0 [INST-11 BIND-04]', async () => {
    const pair = pairOf();
    await pair.disconnect(await pair.connect('0.0.0.0'));
  });

  it('ends what is pending on both sides when one closes [CLOSE-01 CLOSE-02 CLOSE-06 CLOSE-07 OVL-15 OVL-18 WSPRECV-07]', async () => {
    const pair = pairOf();
    const { near, far } = pair;
    const connection = await pair.connect();
    const mine = await registered(near, connection.near, 0);
    const theirs = await registered(far, connection.far, 1);
    const room = { from: 0, to: 64 };
    const atNear = await near.receive(connection.near, { ...room, block: mine.block }, false);
    const atFar = await far.receive(connection.far, { ...room, block: theirs.block }, false);
    expect(await near.close(connection.near)).toBe(0);
    const aborted = { error: spi.WSA_OPERATION_ABORTED, bytes: 0, upcalls: 1 };
    expect(await near.outcome(atNear)).toEqual(aborted);
    const reset = { error: flushed(spi.WSAECONNRESET), bytes: 0, upcalls: 1 };
    expect(await far.outcome(atFar)).toEqual(reset);
    const late = { ...room, block: theirs.block };
    expect(await far.receive(connection.far, late, true)).toBe(-spi.WSAECONNRESET);
    const mineToo = { ...late, block: mine.block };
    expect(await near.receive(connection.near, mineToo, true)).toBe(-spi.WSAENOTSOCK);
    expect(await near.deregister(connection.near, mine.handle)).toBe(-spi.WSAENOTSOCK);
    await far.close(connection.far);
  });

  it('says that a send succeeded although nobody ever receives it [WSPSEND-11]', async () => {
    const pair = pairOf();
    const connection = await pair.connect();
    const { block } = await registered(pair.near, connection.near, 0);
    const sent = await pair.near.send(connection.near, { block, from: 0, to: 8 }, true);
    expect(await pair.near.outcome(sent)).toMatchObject({ error: 0, bytes: 8 });
    await pair.disconnect(connection);
  });

  it('gives handles that mean nothing to the other end [REGMEM-02 MEM-02]', async () => {
    const pair = pairOf();
    const connection = await pair.connect();
    const { handle } = await registered(pair.near, connection.near, 0);
    expect(await pair.far.deregister(connection.far, handle)).toBe(-spi.WSAEINVAL);
    expect(await pair.near.deregister(connection.near, handle)).toBe(0);
    await pair.disconnect(connection);
  });

  it('keeps deregistered memory pinned until it is freed [CACHE-01 CACHE-03 CACHE-04 CACHECB-02 CACHECB-03]', async () => {
    const pair = pairOf();
    const { near } = pair;
    const connection = await pair.connect();
    const s = connection.near;
    const before = await near.regions();
    const block = await near.allocate(BLOCK_BYTES, 'segment', 0);
    const first = await near.register(s, block, spi.MEM_READWRITE);
    expect(await near.deregister(s, first)).toBe(0);
    expect(await near.deregister(s, first)).toBe(-spi.WSAEINVAL);
    const again = await near.register(s, block, spi.MEM_READWRITE);
    expect(await near.regions()).toBe(before + 1);
    expect(await near.free(block)).toBe(spi.WSAEFAULT);
    expect(await near.deregister(s, again)).toBe(0);
    expect(await near.free(block)).toBe(0);
    expect(await near.regions()).toBe(before);
    await pair.disconnect(connection);
  });
});

it('a peer that is killed ends what is pending with WSAECONNRESET [CLOSE-01 CLOSE-07]', async () => {
  const pair = await RealPair.open('two processes', spi.PROFILES.documented);
  const { near } = pair;
  const connection = await pair.connect();
  const { block } = await registered(near, connection.near, 0);
  const operation = await near.receive(connection.near, { block, from: 0, to: 64 }, false);
  await pair.killFar();
  const reset = { error: spi.WSAECONNRESET, bytes: 0, upcalls: 1 };
  expect(await near.outcome(operation)).toEqual(reset);
  const late = { block, from: 0, to: 64 };
  expect(await near.send(connection.near, late, true)).toBe(-spi.WSAECONNRESET);
  await pair.close(true);
});
