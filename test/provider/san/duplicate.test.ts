// Handing a connection over between providers: two hosts for one end, one for the other, in one process
// and in three, over both kinds of engine. Limits in virtual time are in duplicate-limits.test.ts.

import { existsSync, readdirSync, statSync } from 'node:fs';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { FabricDirectory } from '../../../native/fabric-directory.js';
import * as spi from '../../../provider/spi/index.js';
import type { DuplicateArrangement } from './duplicate-trio.js';
import { SUITES, Trio } from './duplicate-trio.js';

const SILENCE = { error: 0, bytes: 0 };

describe.each(SUITES)(
  'a connection that is handed over, %s, profile %s',
  (arrangement, profile) => {
    const opened: Trio[] = [];
    const trioOf = (): Trio => opened[0] as Trio;

    beforeAll(async () => {
      opened.push(await Trio.open(arrangement, profile));
    });

    afterAll(async () => {
      await trioOf().close();
    });

    it('ends pending receives with success and no bytes, each once, and leaves the descriptor to be closed [DUP-11 DUP-17 DUPSOCK-01]', async () => {
      const { old, next, connect, receiveAt, isLeft } = trioOf();
      const { near } = await connect();
      const receives = [
        await receiveAt(old, near, false),
        await receiveAt(old, near, true),
        await receiveAt(old, near, false),
      ];
      const name = await old.duplicate(near, await next.processId());
      expect(name).toBeGreaterThan(0);
      expect(await old.outcomeOfGone(receives[0] ?? 0)).toEqual({ ...SILENCE, upcalls: 1 });
      expect(await old.outcomeOfGone(receives[1] ?? 0)).toEqual({ ...SILENCE, upcalls: 0 });
      expect(await old.outcomeOfGone(receives[2] ?? 0)).toEqual({ ...SILENCE, upcalls: 1 });
      expect(await old.regions()).toBe(0);
      expect(isLeft(name)).toBe(true);
      for (const answer of [
        await old.duplicate(near, await next.processId()),
        await old.register(near, await old.allocate(8, 'ordinary', 0), spi.MEM_READ),
      ]) {
        expect(answer).toBe(-spi.WSAENOTSOCK);
      }
      expect(await old.close(near)).toBe(0);
      expect(await old.close(near)).toBe(-spi.WSAENOTSOCK);
    });

    it('goes on in the new host while the peer notices nothing, whichever side connected [DUP-12 DUP-15 DUP-18]', async () => {
      const { old, next, peer, connect, receiveAt, message, isLeft } = trioOf();
      for (const side of ['near', 'far'] as const) {
        const { near, far } = await connect(side);
        const waiting = [await receiveAt(peer, far, true), await receiveAt(peer, far, false)];
        const pid = await next.processId();
        const name = await old.duplicate(near, pid);
        expect(await old.close(near)).toBe(0);
        const s = await next.takeOver(name);
        expect(s).toBeGreaterThan(0);
        expect(isLeft(name)).toBe(false);
        const sent = [await message(next, s, 41), await message(next, s, 42)];
        for (const one of sent)
          expect(await next.outcome(one)).toMatchObject({ error: 0, bytes: 64 });
        for (const one of waiting) {
          expect(await peer.outcome(one)).toMatchObject({ error: 0, bytes: 64 });
        }
        const received = await receiveAt(next, s, true);
        await message(peer, far, 43);
        expect(await next.outcome(received)).toMatchObject({ error: 0, bytes: 64 });
        const last = await receiveAt(peer, far, true);
        expect(await next.close(s)).toBe(0);
        const error = spi.PROFILES[profile].flushedReceiveError ?? spi.WSAECONNRESET;
        expect(await peer.outcome(last)).toMatchObject({ error });
        await peer.close(far);
      }
    });

    it('comes back to the host that it began in, and goes on from there [DUP-12]', async () => {
      const { old, next, peer, connect, receiveAt, message } = trioOf();
      const { near, far } = await connect();
      const waiting = await receiveAt(peer, far, true);
      const there = await next.takeOver(await old.duplicate(near, await next.processId()));
      const back = await old.takeOver(await next.duplicate(there, await old.processId()));
      expect(back).toBeGreaterThan(0);
      expect(back).not.toBe(near);
      await message(old, back, 7);
      expect(await peer.outcome(waiting)).toMatchObject({ error: 0, bytes: 64 });
      await old.close(near);
      await next.close(there);
      await old.close(back);
      await peer.close(far);
    });

    it('is refused to everybody else: unconnected, another process, a made-up number, a second taker [DUP-11 DUP-18 SOCKET-04]', async () => {
      const { old, next, peer, connect, isLeft } = trioOf();
      const { near, far } = await connect();
      const unconnected = await old.bound(7777);
      expect(await old.duplicate(unconnected, process.pid)).toBe(-spi.WSAENOTCONN);
      expect(await old.duplicate(unconnected + 1000, process.pid)).toBe(-spi.WSAENOTSOCK);
      const name = await old.duplicate(near, 1);
      expect(await next.takeOver(name)).toBe(-spi.WSAEINVAL);
      expect(isLeft(name)).toBe(true);
      expect(await next.takeOver((name ^ 1) >>> 0)).toBe(-spi.WSAEINVAL);
      const other = await connect();
      const good = await old.duplicate(other.near, await next.processId());
      const s = await next.takeOver(good);
      expect(s).toBeGreaterThan(0);
      expect(await next.takeOver(good)).toBe(-spi.WSAEINVAL);
      for (const one of [unconnected, near, other.near]) await old.close(one);
      await next.close(s);
      for (const one of [far, other.far]) await peer.close(one);
    });

    it('is lost to a peer that has closed meanwhile: the new process learns WSAECONNRESET [DUP-12 DUP-15]', async () => {
      const { old, next, peer, connect } = trioOf();
      const { near, far } = await connect();
      const name = await old.duplicate(near, await next.processId());
      await peer.close(far);
      expect(await next.takeOver(name)).toBe(-spi.WSAECONNRESET);
      await old.close(near);
    });
  },
);

describe('what is left when a process dies or ends', () => {
  const opened: Trio[] = [];

  afterEach(async () => {
    await Promise.all(opened.splice(0).map((trio) => trio.close()));
  });

  async function open(arrangement: DuplicateArrangement): Promise<Trio> {
    const trio = await Trio.open(arrangement);
    opened.push(trio);
    return trio;
  }

  it('the old one, before: the peer is reset [DUP-15]', async () => {
    const trio = await open('old');
    const { peer, connect, receiveAt } = trio;
    const { far } = await connect();
    const waiting = await receiveAt(peer, far, true);
    await trio.kill('old');
    expect(await peer.outcome(waiting)).toMatchObject({ error: spi.WSAECONNRESET });
    await peer.close(far);
  });

  it('the old one, after: what it left goes with it if nobody has taken it [DUP-11]', async () => {
    const trio = await open('old');
    const { old, next, peer, connect, files } = trio;
    const { near, far } = await connect();
    const name = await old.duplicate(near, await next.processId());
    await trio.kill('old');
    // Another host of the fabric sees the death, or sweeps when it asks the directory.
    new FabricDirectory(trio.fabric).sweep();
    expect(files()).toEqual([]);
    expect(await next.takeOver(name)).toBe(-spi.WSAEINVAL);
    await peer.close(far);
  });

  it('the old one, once the new one has the connection: nobody else notices [DUP-15]', async () => {
    const trio = await open('old');
    const { old, next, peer, connect, receiveAt, message } = trio;
    const { near, far } = await connect();
    const waiting = await receiveAt(peer, far, true);
    const s = await next.takeOver(await old.duplicate(near, await next.processId()));
    await trio.kill('old');
    await message(next, s, 9);
    expect(await peer.outcome(waiting)).toMatchObject({ error: 0, bytes: 64 });
    await next.close(s);
    await peer.close(far);
  });

  it('the new one, with the connection: the peer is reset [DUP-15]', async () => {
    const trio = await open('next');
    const { old, next, peer, connect, receiveAt } = trio;
    const { near, far } = await connect();
    const waiting = await receiveAt(peer, far, true);
    expect(await next.takeOver(await old.duplicate(near, await next.processId()))).toBeGreaterThan(
      0,
    );
    await trio.kill('next');
    expect(await peer.outcome(waiting)).toMatchObject({ error: spi.WSAECONNRESET });
    await old.close(near);
    await peer.close(far);
  });

  it('the peer, while it waits: the new process learns WSAECONNRESET [DUP-12]', async () => {
    const trio = await open('peer');
    const { old, next, connect } = trio;
    const { near } = await connect();
    const name = await old.duplicate(near, await next.processId());
    await trio.kill('peer');
    expect(await next.takeOver(name)).toBe(-spi.WSAECONNRESET);
    await old.close(near);
  });

  it('leaves its file readable by this user alone, and not after its host [DUP-11]', async () => {
    const trio = await open('inline engines');
    const { old, next, connect, files } = trio;
    const { near } = await connect();
    expect(await old.duplicate(near, await next.processId())).toBeGreaterThan(0);
    const [file] = files();
    const { path } = new FabricDirectory(trio.fabric);
    expect(statSync(`${path}/${file ?? ''}`).mode & 0o777).toBe(0o600);
    await old.end();
    expect(
      existsSync(path) ? readdirSync(path).filter((one) => one.endsWith('.handover')) : [],
    ).toEqual([]);
  });
});
