// A listening socket that processes share, above the whole stack: whoever accepts has the SAN's requests,
// however it accepts.

import { createHash } from 'node:crypto';
import { connect as connectTcp } from 'node:net';
import { describe, expect, it } from 'vitest';
import { faults } from '../../provider/hooks/index.js';
import * as spi from '../../provider/spi/index.js';
import { A, atEnd, ENGINES } from './fixture.js';
import type { SharingProcess } from './sharing.js';
import { Service } from './sharing-service.js';
import { failureOf } from './sockets.js';

const DONE = { result: 0, error: 0 };
const REFUSED = (error: number) => ({ result: spi.INVALID_SOCKET, error });

function nonblocking(service: Service): void {
  service.a.winsock.ioctlsocket(service.listener, spi.FIONBIO, spi.ref(1));
}

/** What is in a connection that was accepted: the bytes of `text`, however many reads that takes. */
async function expectText(child: SharingProcess, text: string): Promise<void> {
  const digest = createHash('sha256').update(text).digest('hex');
  expect(await child.ask({ act: 'receiveAccepted', bytes: text.length })).toEqual({
    result: text.length,
    error: 0,
    digest,
  });
}

describe.for(ENGINES)('a listener with companions that processes share, engine %s', (engine) => {
  it('has its requests accepted by whichever process accepts, and moves no sooner; TCP/IP reaches both [DUP-04 DUP-05 DUP-07 DUP-14]', async () => {
    const service = await Service.open(engine);
    const child = await service.sharing();
    await service.during(Promise.all([service.connect(), service.acceptAtA()]));
    expect(await service.accepted(child)).toEqual([1, 0]);

    // A request that waits already goes along with the companion.
    const waiting = service.connect();
    await service.turns();
    child.child.tell({ act: 'accept' });
    await service.during(Promise.all([waiting, child.child.said()]));
    expect(await service.accepted(child)).toEqual([1, 1]);

    // And back.
    await service.during(Promise.all([service.acceptAtA(), service.connect()]));
    expect(await service.accepted(child)).toEqual([2, 1]);
    expect(service.c.statistics()).toMatchObject({ sanConnections: 3, tcpConnections: 0 });

    // Nothing here has a turn, so no control moves: the kernel's part needs none.
    child.child.tell({ act: 'accept' });
    const tcp = connectTcp(service.port, A);
    atEnd(() => void tcp.destroy());
    expect(await child.child.said()).toEqual(DONE);
    await service.finish(child);
  });
});

describe('a listener with companions that several processes share', () => {
  it('stays while an accept is in progress, and goes to the next then, in order [DUP-03 DUP-07 DUP-14]', async () => {
    const service = await Service.open();
    const child = await service.sharing();
    const accepting = service.acceptAtA();
    expect(await child.ask({ act: 'acceptLater' })).toEqual({ begun: true });
    await service.turns();
    const next = child.child.said();
    await service.during(Promise.all([service.connect(), accepting]));
    expect(await service.accepted()).toEqual([1]);
    // Begun after the other process has asked.
    const last = service.acceptAtA();
    await service.during(Promise.all([service.connect(), next]));
    expect(await service.accepted(child)).toEqual([1, 1]);
    await service.during(Promise.all([service.connect(), last]));
    expect(await service.accepted(child)).toEqual([2, 1]);
    await service.finish(child);
  });

  it('goes to the others when its process closes it, and is made anew when that process dies [DUP-07 DUP-14 W3.7]', async () => {
    const service = await Service.open();
    const [child, other] = [await service.sharing(), await service.sharing()];
    // It asks without waiting, as an application with events does.
    expect(await child.ask({ act: 'tryAccept' })).toEqual(REFUSED(spi.WSAEWOULDBLOCK));
    expect(await service.acceptedBy(child)).toEqual(DONE);
    await child.ask({ act: 'close' });
    await service.during(Promise.all([service.connect(), service.acceptAtA()]));
    expect(await service.accepted(child)).toEqual([1, 1]);

    expect(await service.acceptedBy(other)).toEqual(DONE);
    await other.kill();
    await service.turns();
    await service.during(Promise.all([service.connect(), service.acceptAtA()]));
    expect(await service.accepted(child)).toEqual([2, 1]);
    expect(service.c.statistics()).toMatchObject({ sanConnections: 4, tcpConnections: 0 });
    await service.finish(child);
  });

  it('serves an AcceptEx that waits, in the process that has control and in the other, before accept sees it [DUP-07 DUP-14 ACC-05 W10.9]', async () => {
    const service = await Service.open();
    const child = await service.sharing();
    // Without control: it asks, as there is no request here.
    expect(await child.ask({ act: 'acceptExLater' })).toEqual({ begun: true });
    await service.connected();
    expect(await child.said()).toEqual({ later: 'AcceptEx', error: 0, result: 0 });
    expect(await service.accepted(child)).toEqual([0, 1]);
    // With control.
    expect(await child.ask({ act: 'acceptExLater' })).toEqual({ begun: true });
    const client = await service.connected();
    expect(await child.said()).toEqual({ later: 'AcceptEx', error: 0, result: 0 });
    service.send(client, 'first');
    await expectText(child, 'first');
    // In progress there: it is waited for, and closing ends it.
    expect(await child.ask({ act: 'acceptExLater' })).toEqual({ begun: true });
    const accepting = service.acceptAtA();
    await service.turns();
    expect(await service.accepted(child)).toEqual([0, 2]);
    child.child.tell({ act: 'close' });
    // The twin asks for the outcome on a socket that is not there any more.
    const aborted = { later: 'AcceptEx', error: spi.WSAENOTSOCK, result: -1 };
    expect([await child.said(), await child.said()]).toContainEqual(aborted);
    await service.during(Promise.all([service.connect(), accepting]));
    expect(await service.accepted(child)).toEqual([1, 2]);
    expect(service.c.statistics()).toMatchObject({ sanConnections: 3, tcpConnections: 0 });
    await service.finish(child);
  });

  it('is readable for select, WSAPoll and FD_ACCEPT where control is, and comes to where they look [DUP-07 DUP-14 W10.3 LSN-04]', async () => {
    const service = await Service.open();
    const child = await service.sharing();
    const ready = { result: 1, error: 0 };
    for (const act of ['select', 'poll'] as const) {
      const waiting = service.connect();
      await service.turns();
      // Without control, then with it: the request waits, and looking takes nothing.
      const found = act === 'poll' ? { result: spi.POLLRDNORM, error: 0 } : ready;
      expect(await child.ask({ act, milliseconds: 20_000 })).toEqual(found);
      expect(await child.ask({ act, milliseconds: 0 })).toEqual(found);
      expect(await child.ask({ act: 'tryAccept' })).toMatchObject({ error: spi.WSAEWOULDBLOCK });
      expect(await child.ask({ act: 'accept' })).toEqual(DONE);
      await service.during(waiting);
      // Back here, where it is looked for again.
      await service.during(Promise.all([service.connect(), service.acceptAtA()]));
    }
    expect(await service.accepted(child)).toEqual([2, 2]);

    expect(await child.ask({ act: 'selectEvents' })).toEqual(DONE);
    const told = { result: spi.FD_ACCEPT, error: 0 };
    // What was there before is told once; accept finds nothing, and re-enables it.
    await child.ask({ act: 'waitForEvents', milliseconds: 0 });
    expect(await child.ask({ act: 'tryAccept' })).toMatchObject({ error: spi.WSAEWOULDBLOCK });
    const first = service.connect();
    expect(await child.ask({ act: 'waitForEvents', milliseconds: 20_000 })).toEqual(told);
    expect(await child.ask({ act: 'tryAccept' })).toMatchObject({ error: spi.WSAEWOULDBLOCK });
    await service.during(first);
    // accept re-enables it: the arrival that was negotiated is told as well.
    expect(await child.ask({ act: 'waitForEvents', milliseconds: 20_000 })).toEqual(told);
    expect(await child.ask({ act: 'tryAccept' })).toEqual(DONE);
    expect(service.c.statistics()).toMatchObject({ sanConnections: 5, tcpConnections: 0 });
    expect(await service.accepted(child)).toEqual([2, 3]);
    await service.finish(child);
  });

  it('asks the condition function of whoever accepts, with control and without: no, yes, and not yet, which another one may accept [DUP-07 DUP-14 ACCEPT-02 W10.3]', async () => {
    const service = await Service.open();
    const child = await service.sharing();
    const decide = async (answer: number, error: number): Promise<void> => {
      const asked = { act: 'tryDecide', answer } as const;
      let outcome = await child.ask(asked);
      // Until control and the connection are here.
      while (outcome.error === spi.WSAEWOULDBLOCK) outcome = await child.ask(asked);
      expect(outcome).toEqual(error === 0 ? DONE : REFUSED(error));
    };
    const refused = service.connect();
    await decide(spi.CF_REJECT, spi.WSAECONNREFUSED);
    const first = await service.during(refused);
    await service.until(
      () => service.c.winsock.recv(first, new Uint8Array(1), 1, 0) < 0,
      'a reset',
    );
    expect(service.c.winsock.WSAGetLastError()).toBe(spi.WSAECONNRESET);

    const accepted = service.connect();
    await decide(spi.CF_ACCEPT, 0);
    await service.during(accepted);
    expect(await service.accepted(child)).toEqual([0, 1]);

    // Deferred there with the connection negotiated, accepted here, where it goes with the listener.
    const deferred = service.connect();
    await decide(spi.CF_DEFER, spi.WSATRY_AGAIN);
    const client = await service.during(deferred);
    service.send(client, 'deferred');
    const s = await service.during(service.acceptAtA());
    const into = Buffer.alloc(8);
    expect(await service.during(service.a.winsock.promises.recv(s, into, 8, 0))).toBe(8);
    expect(into.toString()).toBe('deferred');
    expect(await service.accepted(child)).toEqual([1, 1]);
    expect(service.c.statistics().tcpConnections).toBe(0);
    await service.finish(child);
  });
});

describe('connections that nobody has accepted when a listener moves', () => {
  it('go along, with what they hold, in their order, and on with every process that closes [DUP-11 DUP-12 DUP-13 DUP-14 ACC-01 W3.7]', async () => {
    const service = await Service.open();
    // Nobody shares it yet, so they are negotiated at once.
    const clients = [
      await service.connected(),
      await service.connected(),
      await service.connected(),
    ];
    for (const [at, client] of clients.entries()) service.send(client, `client ${at}`);
    await service.turns();
    const child = await service.sharing();
    expect(await child.ask({ act: 'accept' })).toEqual(DONE);
    await expectText(child, 'client 0');
    expect(await service.accepted(child)).toEqual([0, 1]);
    await service.until(() => service.a.usage().queuePairs === 0, 'the end of what has moved');
    // What C sends now goes there too.
    service.send(clients[1] ?? 0, ', later');

    // Whoever has them closes: they go back, and none is reset.
    await child.ask({ act: 'close' });
    for (const text of ['client 1, later', 'client 2']) {
      const s = await service.during(service.acceptAtA());
      const into = Buffer.alloc(text.length);
      const { promises } = service.a.winsock;
      const received = promises.recv(s, into, into.length, spi.MSG_WAITALL);
      expect(await service.during(received)).toBe(text.length);
      expect(into.toString()).toBe(text);
    }
    nonblocking(service);
    const another = (): number => service.a.winsock.accept(service.listener, null, null);
    expect(failureOf(service.a.winsock, another)).toBe(spi.WSAEWOULDBLOCK);
    await service.finish(child);
  });

  it('stay where they are if they cannot be handed over, for whoever accepts there, with control or without [DUP-07 DUP-14 ACC-01]', async () => {
    const { WSAENOBUFS: error } = spi;
    const fault = {
      call: 'WSPDuplicateSocket',
      chance: [1, 1],
      times: 1,
      kind: 'fail',
      error,
    } as const;
    const service = await Service.open('inline', faults({ seed: 1, rules: [fault] }));
    const stays = await service.connected();
    service.send(stays, 'stays');
    const child = await service.sharing();
    expect(await service.acceptedBy(child)).toEqual(DONE);
    expect(await service.accepted(child)).toEqual([0, 1]);
    const s = await service.during(service.acceptAtA());
    const into = Buffer.alloc(5);
    expect(await service.during(service.a.winsock.promises.recv(s, into, 5, 0))).toBe(5);
    expect(into.toString()).toBe('stays');
    expect(service.c.statistics()).toMatchObject({ sanConnections: 2, tcpConnections: 0 });
    await service.finish(child);
  });

  it('are kept by who closes for a duplicate that nobody has taken yet [DUP-14 ACC-01 W3.7]', async () => {
    const service = await Service.open();
    const kept = await service.connected();
    service.send(kept, 'kept');
    const child = await service.process();
    const info = service.duplicate(child.child.pid);
    service.a.winsock.closesocket(service.listener);
    await service.turns();
    expect(await child.take(info)).toEqual(DONE);
    expect(await child.ask({ act: 'accept' })).toEqual(DONE);
    await expectText(child, 'kept');
    await child.ask({ act: 'close' });
    expect(service.c.statistics()).toMatchObject({ sanConnections: 1, tcpConnections: 0 });
    await service.finish(child);
  });
});
