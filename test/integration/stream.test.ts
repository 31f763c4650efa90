// A byte stream through whole hosts: the same program with both ends in one process and across two, over
// both engines, with overlapped, blocking and promised operations, from memory of either kind.

import { describe, expect, it } from 'vitest';
import type { Host, HostStatistics, HostUsage } from '../../index.js';
import * as spi from '../../provider/spi/index.js';
import { Prng } from '../../runtime/prng.js';
import { Child } from './child.js';
import type { StreamPlan } from './children/stream.js';
import { A, B, closeClean, connect, Deadline, ENGINES, must, newFabric, open } from './fixture.js';
import { openPair, UNUSED } from './fixture.js';
import type { Engine } from './fixture.js';
import { BYTES_MAX, nextSize, Pattern, StreamEnd } from './stream.js';

const SEEDS = { a: 20_001, b: 20_002 };
const SENDS = 60;
const AT_A = { seed: SEEDS.a, peerSeed: SEEDS.b, sends: SENDS };
const AT_B = { seed: SEEDS.b, peerSeed: SEEDS.a, sends: SENDS };

interface Farewell {
  readonly statistics: HostStatistics;
  readonly usage: HostUsage;
}

/** Host A, a child at B, and a connection from A to the child. */
async function withChild(
  engine: Engine,
  more: Pick<StreamPlan, 'style'>,
): Promise<{ a: Host; socket: number; child: Child }> {
  const fabric = newFabric();
  const child = new Child('stream', { fabric, address: B, engine, ...more });
  const { port } = await child.said<{ port: number }>();
  const a = await open({ fabric, address: A, engine });
  return { a, socket: connect(a, B, port), child };
}

/** What one end has sent the other has received, each by the same way. */
function expectBalance(a: HostStatistics, b: HostStatistics): void {
  expect(a.sanConnections).toBe(1);
  expect(b.sanConnections).toBe(1);
  expect([a.tcpConnections, b.tcpConnections]).toEqual([0, 0]);
  expect(b.messageBytesReceived).toBe(a.messageBytesSent);
  expect(b.rdmaBytesReceived).toBe(a.rdmaBytesSent);
  expect(a.messageBytesReceived).toBe(b.messageBytesSent);
  expect(a.rdmaBytesReceived).toBe(b.rdmaBytesSent);
  expect(a.messageBytesSent).toBeGreaterThan(0);
  expect(a.rdmaBytesSent).toBeGreaterThan(0);
}

describe('WSACleanup right after the end of a connection', () => {
  it('leaves nothing in use once the peer has let go', async () => {
    const { a, b, atA, atB } = await openPair();
    a.winsock.closesocket(atA);
    b.winsock.closesocket(atB);
    a.winsock.WSACleanup();
    b.winsock.WSACleanup();
    for (let turn = 0; turn < 10_000; turn++) a.progress();
    expect([a.usage(), b.usage()]).toEqual([UNUSED, UNUSED]);
  });
});

describe.each(ENGINES)('a stream over the %s engine', (engine) => {
  it('carries overlapped operations of all sizes both ways at once, both ends in one process [XFER-03 XFER-15 W8.1.3]', async () => {
    const { a, b, atA, atB } = await openPair({ a: { engine }, b: { engine } });
    const endA = new StreamEnd(a, atA, { ...AT_A, memory: 'VirtualAlloc' });
    const endB = new StreamEnd(b, atB, { ...AT_B, memory: 'ordinary' });
    const deadline = new Deadline('the end of both streams');
    while (!(endA.isDone && endB.isDone)) {
      endA.step(1);
      endB.step(1);
      deadline.check();
    }
    expect(endB.bytesReceived).toBe(endA.bytesSent);
    expect(endA.bytesReceived).toBe(endB.bytesSent);
    endA.close();
    endB.close();
    await closeClean(a, b);
    expectBalance(a.statistics(), b.statistics());
    expect(a.statistics().messageBytesSent + a.statistics().rdmaBytesSent).toBe(endA.bytesSent);
  });

  it('carries them across two processes, with half-close and the end of the stream [XFER-03 XFER-15 W8.1.2 W8.1.3]', async () => {
    const stream = { ...AT_B, memory: 'VirtualAlloc' };
    const { a, socket, child } = await withChild(engine, {
      style: 'overlapped',
      stream,
    } as StreamPlan);
    const end = new StreamEnd(a, socket, { ...AT_A, memory: 'ordinary' });
    const deadline = new Deadline('the end of both streams');
    while (!end.isDone) {
      end.step(1_000);
      deadline.check();
    }
    end.close();
    await closeClean(a);
    const { statistics, usage } = await child.said<Farewell>();
    expectBalance(a.statistics(), statistics);
    expect(statistics.messageBytesSent + statistics.rdmaBytesSent).toBe(end.bytesReceived);
    expect(usage).toEqual(UNUSED);
    expect(await child.ended).toBe(0);
  });

  it('carries blocking sends and receives across two processes [W4.7 W8.1.2]', async () => {
    const { a, socket, child } = await withChild(engine, { style: 'blocking' });
    const { winsock } = a;
    const random = new Prng(20_003);
    const pattern = new Pattern(20_004);
    const [sent, received] = [Buffer.alloc(BYTES_MAX), Buffer.alloc(BYTES_MAX)];
    let position = 0;
    for (let round = 0; round < 40; round++) {
      const length = nextSize(random);
      pattern.fill(sent.subarray(0, length), position);
      expect(must(winsock, 'send', winsock.send(socket, sent, length, 0))).toBe(length);
      for (let at = 0; at < length; ) {
        const wanted = Math.min(length - at, nextSize(random));
        const count = must(winsock, 'recv', winsock.recv(socket, received, wanted, 0));
        pattern.check(received.subarray(0, count), position + at);
        at += count;
      }
      position += length;
    }
    must(winsock, 'shutdown', winsock.shutdown(socket, spi.SD_SEND));
    expect(winsock.recv(socket, received, 1, 0)).toBe(0);
    expect(winsock.recv(socket, received, 1, 0)).toBe(0);
    winsock.closesocket(socket);
    await closeClean(a);
    const { statistics, usage } = await child.said<Farewell>();
    expectBalance(a.statistics(), statistics);
    expect(usage).toEqual(UNUSED);
    expect(await child.ended).toBe(0);
  });

  it('carries the promise twins across two processes while the event loop runs [XFER-15 W8.1.2]', async () => {
    const { a, socket, child } = await withChild(engine, { style: 'promises' });
    const { winsock } = a;
    const { promises } = winsock;
    const pattern = new Pattern(20_005);
    const random = new Prng(20_006);
    const sizes = Array.from({ length: 40 }, () => nextSize(random));
    const total = sizes.reduce((sum, size) => sum + size, 0);
    const received = Buffer.alloc(total);
    const first = promises.recv(socket, received, received.length, 0);
    // Nothing has been sent: the receive is pending, and timers are served meanwhile.
    await new Promise((resolve) => {
      setTimeout(resolve, 1);
    });

    const send = async (): Promise<void> => {
      let position = 0;
      for (const size of sizes) {
        const bytes = Buffer.alloc(size);
        pattern.fill(bytes, position);
        expect(await promises.send(socket, bytes, size, 0)).toBe(size);
        position += size;
      }
      must(winsock, 'shutdown', winsock.shutdown(socket, spi.SD_SEND));
    };
    const receive = async (): Promise<number> => {
      let at = await first;
      while (at < total) {
        const rest = received.subarray(at);
        const count = await promises.recv(socket, rest, rest.length, 0);
        if (count === 0) break;
        at += count;
      }
      expect(await promises.recv(socket, received, 1, 0)).toBe(0);
      return at;
    };
    const [, count] = await Promise.all([send(), receive()]);
    expect(count).toBe(total);
    pattern.check(received, 0);
    winsock.closesocket(socket);
    await closeClean(a);
    const { statistics, usage } = await child.said<Farewell>();
    expectBalance(a.statistics(), statistics);
    expect(usage).toEqual(UNUSED);
    expect(await child.ended).toBe(0);
  });

  it('connects, accepts and carries with promise twins, both ends in one process [XFER-15]', async () => {
    const fabric = newFabric();
    const a = await open({ fabric, address: A, engine });
    const b = await open({ fabric, address: B, engine });
    const pattern = new Pattern(20_007);
    const listener = b.winsock.socket(spi.AF_INET, spi.SOCK_STREAM, spi.IPPROTO_TCP);
    const name = spi.sockaddrIn(B, 0);
    must(b.winsock, 'bind', b.winsock.bind(listener, name, name.length));
    must(b.winsock, 'listen', b.winsock.listen(listener, 1));
    must(b.winsock, 'getsockname', b.winsock.getsockname(listener, name, spi.ref(name.length)));
    const accepting = b.winsock.promises.accept(listener, null, null);
    const atA = a.winsock.socket(spi.AF_INET, spi.SOCK_STREAM, spi.IPPROTO_TCP);
    const [atB] = await Promise.all([
      accepting,
      a.winsock.promises.connect(atA, name, name.length),
    ]);

    const sent = Buffer.alloc(1_000_000);
    pattern.fill(sent, 0);
    const received = Buffer.alloc(sent.length);
    const sending = a.winsock.promises.send(atA, sent, sent.length, 0);
    for (let at = 0; at < received.length; ) {
      const rest = received.subarray(at, at + BYTES_MAX);
      at += await b.winsock.promises.recv(atB, rest, rest.length, 0);
    }
    expect(await sending).toBe(sent.length);
    expect(received.equals(sent)).toBe(true);
    expect(a.statistics().sanConnections).toBe(1);
    for (const socket of [listener, atB]) b.winsock.closesocket(socket);
    a.winsock.closesocket(atA);
    await closeClean(a, b);
  });
});
