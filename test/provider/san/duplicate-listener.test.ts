// Handing a listener over between providers: two hosts that have it in turn and one that connects, in one
// process and in three, over both kinds of engine; and the death of each. Limits in virtual time are in
// duplicate-listener-limits.test.ts.

import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { FabricDirectory } from '../../../native/fabric-directory.js';
import * as spi from '../../../provider/spi/index.js';
import type { DuplicateArrangement } from './duplicate-trio.js';
import { ADDRESSES, SUITES, Trio } from './duplicate-trio.js';
import type { End } from './real-pair.js';

const PORT = 80;
const BACKLOG = 4;

let localPort = 20_000;

/** The peer asks for a connection with the listener's address. */
function ask({ peer }: Trio, port = PORT): Promise<number> {
  return peer.connect(localPort++, ADDRESSES.old, port);
}

/** The next request at `end`'s listener, answered; both ends talk over it and close. */
async function serve(trio: Trio, end: End, listener: number, asking: number): Promise<void> {
  const { peer, receiveAt, message } = trio;
  const accepted = await end.accept(listener, spi.CF_ACCEPT);
  expect(accepted).toBeGreaterThan(0);
  expect(await peer.connected(asking)).toBe(0);
  const [there, here] = [await receiveAt(end, accepted, true), await receiveAt(peer, asking, true)];
  await message(peer, asking, 1);
  await message(end, accepted, 2);
  expect(await end.outcome(there)).toMatchObject({ error: 0, bytes: 64 });
  expect(await peer.outcome(here)).toMatchObject({ error: 0, bytes: 64 });
  await peer.close(asking);
  await end.close(accepted);
}

async function handOver(from: End, to: End, listener: number): Promise<number> {
  const s = await to.takeOver(await from.duplicate(listener, await to.processId()));
  expect(s).toBeGreaterThan(0);
  return s;
}

describe.each(SUITES)('a listener that is handed over, %s, profile %s', (arrangement, profile) => {
  const opened: Trio[] = [];
  const trioOf = (): Trio => opened[0] as Trio;

  beforeAll(async () => {
    opened.push(await Trio.open(arrangement, profile));
  });

  afterAll(async () => {
    await trioOf().close();
  });

  it('serves in its new host what waited, what came meanwhile and what comes; the old descriptor is to be closed [DUP-14 DUP-11 DUP-17]', async () => {
    const trio = trioOf();
    const { old, next } = trio;
    const listener = await old.listen(PORT, ADDRESSES.old, BACKLOG);
    const waiting = [await ask(trio), await ask(trio)];
    const name = await old.duplicate(listener, await next.processId());
    expect(name).toBeGreaterThan(0);
    expect(await old.accept(listener, spi.CF_ACCEPT)).toBe(-spi.WSAENOTSOCK);
    waiting.push(await ask(trio));
    const s = await next.takeOver(name);
    expect(s).toBeGreaterThan(0);
    for (const asking of waiting) await serve(trio, next, s, asking);
    expect(await old.close(listener)).toBe(0);
    expect(await old.close(listener)).toBe(-spi.WSAENOTSOCK);
    await serve(trio, next, s, await ask(trio));
    await next.close(s);
    expect(await old.regions()).toBe(0);
  });

  it('goes back to the host that made it, and forth again, with what waits [DUP-14 DUP-12]', async () => {
    const trio = trioOf();
    const { old, next } = trio;
    const listener = await old.listen(PORT, ADDRESSES.old, BACKLOG);
    const there = await handOver(old, next, listener);
    const asked = await ask(trio);
    const back = await handOver(next, old, there);
    expect(back).not.toBe(listener);
    await serve(trio, old, back, asked);
    await serve(trio, old, back, await ask(trio));
    const again = await handOver(old, next, back);
    await serve(trio, next, again, await ask(trio));
    for (const one of [listener, back]) expect(await old.close(one)).toBe(0);
    for (const one of [there, again]) expect(await next.close(one)).toBe(0);
  });

  it('accepts connections that look as if made at its first host, and that either side can hand over [DUP-14 DUP-15]', async () => {
    const trio = trioOf();
    const { old, next, peer, receiveAt, message } = trio;
    const s = await handOver(old, next, await old.listen(PORT, ADDRESSES.old, BACKLOG));
    const asking = await ask(trio);
    const accepted = await next.accept(s, spi.CF_ACCEPT);
    expect(await peer.connected(asking)).toBe(0);
    // The asking side moves first: towards the NIC that answered, not the one that was asked.
    const moved = await handOver(peer, old, asking);
    const received = await receiveAt(next, accepted, true);
    await message(old, moved, 5);
    expect(await next.outcome(received)).toMatchObject({ error: 0, bytes: 64 });
    const movedToo = await handOver(next, peer, accepted);
    const last = await receiveAt(peer, movedToo, true);
    await message(old, moved, 6);
    expect(await peer.outcome(last)).toMatchObject({ error: 0, bytes: 64 });
    await old.close(moved);
    for (const one of [asking, movedToo]) await peer.close(one);
    for (const one of [accepted, s]) await next.close(one);
  });

  it('is given to nobody else: another process, a made-up number, a second taker [DUP-11 DUP-14 SOCKET-04]', async () => {
    const trio = trioOf();
    const { old, next, isLeft } = trio;
    const listener = await old.listen(PORT, ADDRESSES.old, BACKLOG);
    const name = await old.duplicate(listener, 1);
    expect(await next.takeOver(name)).toBe(-spi.WSAEINVAL);
    expect(isLeft(name)).toBe(true);
    expect(await next.takeOver((name ^ 1) >>> 0)).toBe(-spi.WSAEINVAL);
    const other = await old.listen(PORT + 1, ADDRESSES.old, BACKLOG);
    const good = await old.duplicate(other, await next.processId());
    const s = await next.takeOver(good);
    expect(await next.takeOver(good)).toBe(-spi.WSAEINVAL);
    await serve(trio, next, s, await ask(trio, PORT + 1));
    for (const one of [listener, other]) await old.close(one);
    await next.close(s);
  });
});

describe('a listener whose process dies', () => {
  const opened: Trio[] = [];

  afterEach(async () => {
    await Promise.all(opened.splice(0).map((trio) => trio.close()));
  });

  async function open(arrangement: DuplicateArrangement): Promise<Trio> {
    const trio = await Trio.open(arrangement);
    opened.push(trio);
    return trio;
  }

  /** A request has arrived, and stays. */
  async function expectWaiting(end: End, listener: number): Promise<void> {
    expect(await end.accept(listener, spi.CF_DEFER)).toBe(-spi.WSATRY_AGAIN);
  }

  /** The connection fails as one that TCP/IP may try: the kernel's listener is shared. */
  async function expectLeftToTcp(trio: Trio): Promise<void> {
    const asking = await ask(trio);
    expect(await trio.peer.connected(asking)).toBe(spi.WSAETIMEDOUT);
    await trio.peer.close(asking);
  }

  it('the old one before it was taken: nothing is left, and what waited is left to TCP/IP [DUP-14 CONNECT-05]', async () => {
    const trio = await open('old');
    const { old, next, peer, files } = trio;
    const listener = await old.listen(PORT, ADDRESSES.old, BACKLOG);
    const asking = await ask(trio);
    const name = await old.duplicate(listener, await next.processId());
    await trio.kill('old');
    expect(await peer.connected(asking)).toBe(spi.WSAETIMEDOUT);
    new FabricDirectory(trio.fabric).sweep();
    expect(files()).toEqual([]);
    expect(await next.takeOver(name)).toBe(-spi.WSAEINVAL);
    await peer.close(asking);
    await expectLeftToTcp(trio);
  });

  it('the old one afterwards: what waits is served, what comes is left to TCP/IP [DUP-14 CONNECT-05]', async () => {
    const trio = await open('old');
    const { old, next } = trio;
    const s = await handOver(old, next, await old.listen(PORT, ADDRESSES.old, BACKLOG));
    const asking = await ask(trio);
    await expectWaiting(next, s);
    await trio.kill('old');
    await serve(trio, next, s, asking);
    await expectLeftToTcp(trio);
    expect(await next.close(s)).toBe(0);
  });

  it('the one that has it: what waits and what comes is left to TCP/IP, and its first host can listen again [DUP-14 CONNECT-05]', async () => {
    const trio = await open('next');
    const { old, next, peer } = trio;
    const listener = await old.listen(PORT, ADDRESSES.old, BACKLOG);
    const s = await handOver(old, next, listener);
    const asking = await ask(trio);
    await expectWaiting(next, s);
    await trio.kill('next');
    expect(await peer.connected(asking)).toBe(spi.WSAETIMEDOUT);
    await peer.close(asking);
    await expectLeftToTcp(trio);
    await old.close(listener);
    const fresh = await old.listen(PORT, ADDRESSES.old, BACKLOG);
    await serve(trio, old, fresh, await ask(trio));
    await old.close(fresh);
  });

  it('the one that asks, with its request on the way: nothing of it is left anywhere [DUP-14]', async () => {
    const trio = await open('peer');
    const { old, next } = trio;
    const listener = await old.listen(PORT, ADDRESSES.old, BACKLOG);
    await ask(trio);
    await expectWaiting(old, listener);
    const s = await handOver(old, next, listener);
    await expectWaiting(next, s);
    await trio.kill('peer');
    expect(await next.close(s)).toBe(0);
    expect(await old.close(listener)).toBe(0);
  });

  it('the first host, before a third one takes it from the second: WSAENETDOWN [DUP-14 SOCKET-02]', async () => {
    const trio = await open('old');
    const { old, next, peer } = trio;
    const s = await handOver(old, next, await old.listen(PORT, ADDRESSES.old, BACKLOG));
    const name = await next.duplicate(s, await peer.processId());
    await trio.kill('old');
    expect(await peer.takeOver(name)).toBe(-spi.WSAENETDOWN);
    expect(await next.close(s)).toBe(0);
  });
});
