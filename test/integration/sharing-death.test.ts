// A process that is killed at a step of a move, of a shared connection or a shared listener, as the one that
// hands it over or as the one that takes it: in the provider's calls, between which nothing can be seen from
// outside. With the listener a connection moves that nobody has accepted, before the companion.

import { describe, expect, it } from 'vitest';
import * as spi from '../../provider/spi/index.js';
import type { Death } from './children/share.js';
import { carry } from './fixture.js';
import type { SharingProcess } from './sharing.js';
import { Service } from './sharing-service.js';
import { Trio } from './sharing-trio.js';
import { failureOf } from './sockets.js';

/** The one connection of a Trio, and the first of a Service. */
const GIVING_ONE: readonly Death[] = [
  { call: 'WSPDuplicateSocket', nth: 1, when: 'before' },
  { call: 'WSPDuplicateSocket', nth: 1, when: 'after' },
  { call: 'WSPCloseSocket', nth: 1, when: 'after' },
];

const TAKING_ONE: readonly Death[] = [
  { call: 'WSPSocket', nth: 1, when: 'before' },
  { call: 'WSPSocket', nth: 1, when: 'after' },
];

const GIVING: readonly Death[] = [
  ...GIVING_ONE,
  { call: 'WSPDuplicateSocket', nth: 2, when: 'after' },
  { call: 'WSPCloseSocket', nth: 2, when: 'after' },
];

const TAKING: readonly Death[] = [
  ...TAKING_ONE,
  { call: 'WSPSocket', nth: 2, when: 'after' },
  { call: 'WSPEventSelect', nth: 1, when: 'after' },
];

/** A hard close: the peer may have died at any step of a move. */
function drop(service: Service, client: number): void {
  const { winsock } = service.c;
  winsock.setsockopt(client, spi.SOL_SOCKET, spi.SO_LINGER, Uint8Array.of(1, 0, 0, 0), 4);
  winsock.closesocket(client);
}

/** A1 has the listener to itself again: it accepts whoever comes, and the connection is a good one. */
async function expectServed(service: Service, accepting: Promise<number>): Promise<void> {
  const [client, server] = await service.during(Promise.all([service.connect(), accepting]));
  const [c, a] = [
    { host: service.c, socket: client },
    { host: service.a, socket: server },
  ];
  expect(carry(c, a, 'there')).toBe('there');
  expect(carry(a, c, 'and back')).toBe('and back');
  drop(service, client);
  service.a.winsock.closesocket(server);
}

const stepOf = ({ call, nth, when }: Death): string => `${when} ${call} ${nth}`;

describe('a process that is killed in the middle of the move of a listener', () => {
  it('while it hands it over leaves nothing behind, and the accept that has asked for it goes on [DUP-07 DUP-14 ERR-02]', async () => {
    const service = await Service.open();
    for (const death of GIVING) {
      const waiting = await service.connected();
      const child = await service.sharing(await service.process(death));
      // It gets the connection along with the listener, and leaves it unaccepted.
      const asked = { act: 'tryDecide', answer: spi.CF_DEFER } as const;
      let outcome = await child.ask(asked);
      while (outcome.error === spi.WSAEWOULDBLOCK) outcome = await child.ask(asked);
      expect(outcome.error, stepOf(death)).toBe(spi.WSATRY_AGAIN);
      const accepting = service.acceptAtA();
      expect(await service.during(child.child.ended), stepOf(death)).toBe('SIGKILL');
      await expectServed(service, accepting);
      drop(service, waiting);
    }
    expect(service.c.statistics().tcpConnections).toBe(0);
    await service.finish();
  });

  it('while it takes it over leaves nothing behind, and the others listen anew [DUP-07 DUP-14 ERR-02]', async () => {
    const service = await Service.open();
    for (const death of TAKING) {
      const waiting = await service.connected();
      const child = await service.sharing(await service.process(death));
      child.child.tell({ act: 'accept' });
      expect(await service.during(child.child.ended), stepOf(death)).toBe('SIGKILL');
      await service.turns();
      await expectServed(service, service.acceptAtA());
      drop(service, waiting);
    }
    expect(service.c.statistics().tcpConnections).toBe(0);
    await service.finish();
  });
});

/** The connection is at its end for A1, and is closed at both ends, for another one. */
async function expectEnded(trio: Trio, child: SharingProcess, death: Death): Promise<void> {
  expect(await trio.during(child.child.ended), stepOf(death)).toBe('SIGKILL');
  const isLost = (): boolean =>
    failureOf(trio.a.winsock, () => trio.tryReceive('a')) === spi.WSAECONNABORTED;
  await trio.until(isLost, `the loss ${stepOf(death)}`);
  trio.a.winsock.closesocket(trio.atA);
  trio.reset('b');
}

describe('a process that is killed in the middle of the move of a connection', () => {
  it('is the end of it for the others, and leaves nothing behind, whichever of the two it is [DUP-11 DUP-12 ERR-02]', async () => {
    const trio = await Trio.open();
    for (const death of GIVING_ONE) {
      const child = await trio.sharing(await trio.process(death));
      expect(await child.ask({ act: 'send', bytes: 1, seed: 1 })).toMatchObject({ error: 0 });
      trio.tryReceive('a');
      await expectEnded(trio, child, death);
      trio.connect();
    }
    for (const death of TAKING_ONE) {
      const child = await trio.sharing(await trio.process(death));
      child.child.tell({ act: 'send', bytes: 1, seed: 1 });
      await expectEnded(trio, child, death);
      trio.connect();
    }
    await trio.finish();
  });
});
