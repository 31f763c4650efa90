// One end of a connection over a SAN, shared by processes: WSADuplicateSocket above the whole stack. A1
// and the peer B are hosts of this thread, the other processes are children.

import { describe, expect, it } from 'vitest';
import * as spi from '../../provider/spi/index.js';
import { ENGINES, must } from './fixture.js';
import { namesOf } from './names.js';
import type { SharingProcess } from './sharing.js';
import { digest, pattern, Trio } from './sharing-trio.js';
import { failureOf } from './sockets.js';

const SMALL = 100;
const LARGE = 200_000;
const ROUNDS = 6;

const isPending = ({ Internal }: spi.WSAOVERLAPPED): boolean =>
  Internal === spi.WSS_OPERATION_IN_PROGRESS;

/** Starts an overlapped operation of B's. */
function start(trio: Trio, kind: 'WSASend' | 'WSARecv', buf: Uint8Array): spi.WSAOVERLAPPED {
  const { winsock } = trio.b;
  const overlapped = spi.createOverlapped();
  const buffers = [{ len: buf.length, buf }];
  const result =
    kind === 'WSASend'
      ? winsock.WSASend(trio.atB, buffers, 1, null, 0, overlapped, null)
      : winsock.WSARecv(trio.atB, buffers, 1, null, spi.ref(0), overlapped, null);
  expect([result, winsock.WSAGetLastError()]).toEqual([spi.SOCKET_ERROR, spi.WSA_IO_PENDING]);
  return overlapped;
}

/**
 * A1 and the child take turns in receiving and sending, so that control moves each time, while B sends
 * all the time: much of that waits, announced, while the connection moves.
 */
async function pingPong(trio: Trio, child: SharingProcess): Promise<void> {
  const sizes = Array.from({ length: 2 * ROUNDS }, (_, at) => (at % 3 === 0 ? LARGE : SMALL + at));
  const toA = Promise.all(sizes.map((bytes, at) => trio.send('b', bytes, 100 + at)));
  for (let round = 0; round < ROUNDS; round++) {
    const [mine = 0, its = 0] = sizes.slice(2 * round);
    expect(await trio.receive('a', mine)).toBe(digest(pattern(mine, 100 + 2 * round)));
    const sent = trio.send('a', its, 200 + round);
    const asked = child.ask({ act: 'receive', bytes: its });
    expect(await trio.receive('b', its)).toBe(digest(pattern(its, 200 + round)));
    await sent;
    expect(await asked).toEqual({
      result: its,
      error: 0,
      digest: digest(pattern(its, 101 + 2 * round)),
    });
    await child.ask({ act: 'sendLater', bytes: mine, seed: 300 + round });
    expect(await trio.receive('b', mine)).toBe(digest(pattern(mine, 300 + round)));
    expect(await child.said()).toMatchObject({ later: 'sendLater', result: mine, error: 0 });
  }
  await toA;
}

describe.for(ENGINES)('a connection over a SAN that processes share, engine %s', (engine) => {
  it('has not moved when it is duplicated, and moves with the first transfer of another process [DUP-01 DUP-02 DUP-04 DUP-06 W3.7]', async () => {
    const trio = await Trio.open(engine);
    const child = await trio.sharing();
    expect(trio.a.usage().queuePairs).toBe(1);
    await trio.send('a', SMALL, 1);
    expect(await trio.receive('b', SMALL)).toBe(digest(pattern(SMALL, 1)));
    // Names and options need no control.
    const names = namesOf(trio.a.winsock, trio.atA);
    expect(await child.ask({ act: 'names' })).toEqual(names);
    expect(trio.a.usage().queuePairs).toBe(1);

    const sent = { result: SMALL, error: 0 };
    expect(await child.ask({ act: 'send', bytes: SMALL, seed: 2 })).toEqual(sent);
    await trio.until(() => trio.a.usage().queuePairs === 0, 'the end of the old queue pair');
    expect(await trio.receive('b', SMALL)).toBe(digest(pattern(SMALL, 2)));
    expect(await child.ask({ act: 'names' })).toEqual(names);
    expect(await child.ask({ act: 'statistics' })).toMatchObject({
      sanConnections: 1,
      tcpConnections: 0,
    });
    await trio.finish(child);
  });

  it('carries both streams whole and in order however often control moves, by messages and by RDMA, whoever has connected [DUP-03 DUP-05 DUP-09 DUP-11 DUP-12 DUP-13]', async () => {
    const trio = await Trio.open(engine);
    const child = await trio.sharing();
    await pingPong(trio, child);
    await trio.disconnect(child);
    trio.connect('b');
    await pingPong(trio, await trio.sharing(child));
    await trio.finish(child);
  });
});

describe('several processes that share a connection over a SAN', () => {
  it('serves three processes in the order of their asking, behind what has begun [DUP-03]', async () => {
    const trio = await Trio.open();
    const [first, second] = [await trio.sharing(), await trio.sharing()];
    const posted = trio.receive('a', SMALL, 'overlapped');
    // In progress at A1: both wait for it, and A1's next operation behind them.
    await first.ask({ act: 'sendLater', bytes: SMALL, seed: 1 });
    await trio.turns();
    await second.ask({ act: 'sendLater', bytes: SMALL, seed: 2 });
    await trio.turns();
    const sent = trio.send('a', SMALL, 3);
    await trio.turns();
    expect(failureOf(trio.b.winsock, () => trio.tryReceive('b'))).toBe(spi.WSAEWOULDBLOCK);
    await trio.send('b', SMALL, 4);
    expect(await posted).toBe(digest(pattern(SMALL, 4)));
    for (const seed of [1, 2, 3]) {
      expect(await trio.receive('b', SMALL)).toBe(digest(pattern(SMALL, seed)));
    }
    await sent;
    for (const child of [first, second]) expect(await child.said()).toMatchObject({ error: 0 });
    await trio.finish(first, second);
  });

  it('has its peer queue, keep up to SO_SNDBUF, and say WSAEWOULDBLOCK while it is suspended [DUP-08 DUP-10 W14.13]', async () => {
    const trio = await Trio.open();
    const child = await trio.sharing();
    const { winsock } = trio.b;
    await trio.send('a', SMALL, 1);
    // It asks and is stopped before it can take control.
    await child.askAlone({ act: 'receiveLater', bytes: SMALL });
    child.child.kill('SIGSTOP');
    await trio.until(() => trio.a.usage().queuePairs === 0, 'the end of the old queue pair');

    expect(failureOf(winsock, () => trio.tryReceive('b'))).toBe(spi.WSAEWOULDBLOCK);
    const received = new Uint8Array(SMALL);
    const receive = start(trio, 'WSARecv', received);
    const large = pattern(LARGE, 2);
    const send = start(trio, 'WSASend', large);
    winsock.ioctlsocket(trio.atB, spi.FIONBIO, spi.ref(1));
    const kept: number[] = [];
    for (let seed = 3; ; seed++) {
      const bytes = pattern(10_000, seed);
      const count = winsock.send(trio.atB, bytes, bytes.length, 0);
      if (count < 0) break;
      kept.push(count);
    }
    expect(winsock.WSAGetLastError()).toBe(spi.WSAEWOULDBLOCK);
    const room = new Uint8Array(4);
    winsock.getsockopt(trio.atB, spi.SOL_SOCKET, spi.SO_SNDBUF, room, spi.ref(4));
    expect(kept.reduce((sum, count) => sum + count, 0)).toBe(
      new DataView(room.buffer).getUint32(0, true),
    );
    winsock.ioctlsocket(trio.atB, spi.FIONBIO, spi.ref(0));
    await trio.turns();
    expect([isPending(receive), isPending(send)]).toEqual([true, true]);

    child.child.kill('SIGCONT');
    expect(await child.said()).toMatchObject({ error: 0, result: SMALL });
    expect(digest(received)).toBe(digest(pattern(SMALL, 1)));
    expect(await child.ask({ act: 'receive', bytes: LARGE - SMALL })).toMatchObject({
      digest: digest(large.subarray(SMALL)),
    });
    const whole = Buffer.concat(
      kept.map((count, at) => pattern(10_000, at + 3).subarray(0, count)),
    );
    expect(await child.ask({ act: 'receive', bytes: whole.length })).toMatchObject({
      digest: digest(whole),
    });
    await trio.until(() => !isPending(send), 'the queued send');
    await trio.finish(child);
  });

  it('finds nothing without control, and asks for it: nonblocking calls, shutdown, options [DUP-04 DUP-05]', async () => {
    const trio = await Trio.open();
    const child = await trio.sharing();
    await trio.send('b', SMALL, 1);
    expect(await child.askAlone({ act: 'tryReceive', bytes: 10 })).toEqual({
      result: -1,
      error: spi.WSAEWOULDBLOCK,
    });
    await trio.until(() => trio.a.usage().queuePairs === 0, 'control elsewhere');
    expect(await child.ask({ act: 'receive', bytes: SMALL })).toMatchObject({
      digest: digest(pattern(SMALL, 1)),
    });
    // A timeout that is set without control counts with it.
    await trio.send('a', SMALL, 2);
    await child.ask({ act: 'setTimeout', milliseconds: 30 });
    expect(await child.ask({ act: 'receive', bytes: 1 })).toMatchObject({
      error: spi.WSAETIMEDOUT,
    });
    expect(await child.ask({ act: 'shutdown', how: spi.SD_SEND })).toEqual({ result: 0, error: 0 });
    expect(await trio.receive('b', SMALL)).toBe(digest(pattern(SMALL, 2)));
    await trio.until(() => trio.b.winsock.recv(trio.atB, new Uint8Array(1), 1, 0) === 0, 'the end');
    expect(await child.ask({ act: 'send', bytes: 1, seed: 1 })).toMatchObject({
      error: spi.WSAESHUTDOWN,
    });
    await trio.finish(child);
  });
});

describe('urgent data of a connection that processes share', () => {
  it('is received without control: by a call that waits for it, and by an overlapped one [DUP-04 DUP-13 W8.1.13 OOB-02]', async () => {
    const trio = await Trio.open();
    const child = await trio.sharing();
    const urgent = (byte: number): void => {
      const { winsock } = trio.b;
      must(winsock, 'send', winsock.send(trio.atB, Uint8Array.of(byte), 1, spi.MSG_OOB));
    };
    // It waits there already, and goes along.
    urgent(1);
    await trio.turns();
    expect(await child.ask({ act: 'receiveUrgent' })).toEqual({ result: 1, error: 0, byte: 1 });

    // Control is back here; it comes when the call asks, and the byte after it.
    await trio.send('a', SMALL, 1);
    expect(await child.ask({ act: 'receiveUrgentLater' })).toEqual({ begun: true });
    await child.ask({ act: 'receiveLater', bytes: SMALL });
    await trio.until(() => trio.a.usage().queuePairs === 0, 'control elsewhere');
    await trio.send('b', SMALL, 2);
    expect(await child.said()).toMatchObject({
      later: 'receiveLater',
      digest: digest(pattern(SMALL, 2)),
    });
    urgent(3);
    expect(await child.said()).toMatchObject({ later: 'receiveUrgentLater', result: 1, byte: 3 });
    expect(await trio.receive('b', SMALL)).toBe(digest(pattern(SMALL, 1)));
    await trio.finish(child);
  });

  it('is refused where it is in line, whoever has control [DUP-04 DUP-13 W8.1.13]', async () => {
    const trio = await Trio.open();
    const child = await trio.sharing();
    const inline = Uint8Array.of(1, 0, 0, 0);
    trio.a.winsock.setsockopt(trio.atA, spi.SOL_SOCKET, spi.SO_OOBINLINE, inline, 4);
    expect(await child.ask({ act: 'receiveUrgentLater' })).toEqual({ begun: true });
    expect(await trio.during(child.child.said())).toEqual({
      later: 'receiveUrgentLater',
      result: -1,
      error: spi.WSAEINVAL,
    });
    await trio.finish(child);
  });
});

describe('the end of one process', () => {
  it('that closes hands control on, to whoever has the duplicate or comes with it; the end of the peer is told to all [DUP-05 ERR-02 W3.7]', async () => {
    const trio = await Trio.open();
    const child = await trio.sharing();
    const sent = trio.send('a', LARGE, 1);
    expect(trio.a.winsock.closesocket(trio.atA)).toBe(0);
    expect(failureOf(trio.a.winsock, () => trio.tryReceive('a'))).toBe(spi.WSAENOTSOCK);
    expect(await trio.receive('b', LARGE)).toBe(digest(pattern(LARGE, 1)));
    await sent;
    await trio.until(() => trio.a.usage().queuePairs === 0, 'control elsewhere');
    await trio.send('b', SMALL, 2);
    expect(await child.ask({ act: 'receive', bytes: SMALL })).toMatchObject({ error: 0 });
    await trio.disconnect(child);

    // A duplicate that nobody has taken yet keeps the connection, too.
    trio.connect();
    const info = trio.duplicate(child.child.pid);
    trio.a.winsock.closesocket(trio.atA);
    await trio.send('b', SMALL, 3);
    expect(await child.take(info)).toMatchObject({ error: 0 });
    expect(await child.ask({ act: 'receive', bytes: SMALL })).toMatchObject({
      digest: digest(pattern(SMALL, 3)),
    });
    await trio.disconnect(child);

    // The peer's end is told to whoever asks next.
    trio.connect();
    await trio.sharing(child);
    trio.reset('b');
    await trio.turns();
    expect(await child.ask({ act: 'receive', bytes: 1 })).toMatchObject({
      error: spi.WSAECONNRESET,
    });
    await trio.finish(child);
  });

  it('that is killed without control is not noticed, wherever it was in asking; with control it is the end for all [ERR-02 DUP-01]', async () => {
    const trio = await Trio.open();
    const [idle, asking] = [await trio.sharing(), await trio.sharing()];
    await idle.kill();
    await asking.askAlone({ act: 'sendLater', bytes: SMALL, seed: 1 });
    await asking.kill();
    await trio.turns();
    await trio.send('a', SMALL, 2);
    expect(await trio.receive('b', SMALL)).toBe(digest(pattern(SMALL, 2)));

    const [controlling, other] = [await trio.sharing(), await trio.sharing()];
    await controlling.ask({ act: 'send', bytes: SMALL, seed: 1 });
    expect(await trio.receive('b', SMALL)).toBe(digest(pattern(SMALL, 1)));
    await controlling.kill();
    expect(await other.ask({ act: 'receive', bytes: 1 })).toMatchObject({
      error: spi.WSAECONNABORTED,
    });
    await trio.turns();
    expect(failureOf(trio.a.winsock, () => trio.tryReceive('a'))).toBe(spi.WSAECONNABORTED);
    const lost = (): boolean =>
      failureOf(trio.b.winsock, () => trio.tryReceive('b')) === spi.WSAECONNRESET;
    await trio.until(lost, 'the reset');
    await trio.finish(other);
  });
});
