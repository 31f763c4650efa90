// Whatever an application starts, cancels and closes: every overlapped call that has been taken is
// indicated once, by the means it asked for, and no other is. A counterexample prints its seed and path;
// hand them to fc.assert's second argument to replay it.

import fc from 'fast-check';
import { expect, it } from 'vitest';
import * as spi from '../../../provider/spi/index.js';
import type { Winsock } from '../../../switch/api/wsa.js';
import { connectPair, pattern, World } from '../fakes/world.js';

const MEANS = ['event', 'routine', 'port', 'tagged'] as const;
type Means = (typeof MEANS)[number];

type Step =
  | { readonly kind: 'send' | 'receive'; readonly bytes: number; readonly means: Means }
  | { readonly kind: 'cancel' | 'answer' | 'turn' | 'run'; readonly bytes: number };

const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({
    kind: fc.constantFrom('send' as const, 'receive' as const),
    bytes: fc.constantFrom(0, 1, 100, 5000, 20_000),
    means: fc.constantFrom(...MEANS),
  }),
  fc.record({
    kind: fc.constantFrom('cancel' as const, 'answer' as const, 'turn' as const, 'run' as const),
    bytes: fc.constantFrom(1, 300, 9000),
  }),
);

interface Started {
  readonly means: Means;
  readonly overlapped: spi.WSAOVERLAPPED;
  routines: number;
  packets: number;
}

/** Two connections of one application: a port and routines exclude each other on a socket. */
class Application {
  readonly world: World;
  readonly started: Started[] = [];
  readonly #plain: number;
  readonly #ported: number;
  readonly #port: number;
  readonly #peers: readonly number[];

  constructor(profile: spi.ProfileName) {
    this.world = new World({ profile });
    const { client, server, listener } = connectPair(this.world);
    const { a, b } = this.world;
    this.#plain = client;
    this.#ported = a.winsock.socket(spi.AF_INET, spi.SOCK_STREAM, 0);
    expect(a.winsock.connect(this.#ported, spi.sockaddrIn('127.77.0.2', 4000), 16)).toBe(0);
    this.#peers = [server, b.winsock.accept(listener, null, null)];
    for (const s of this.#peers) b.winsock.ioctlsocket(s, spi.FIONBIO, spi.ref(1));
    this.#port = a.winsock.CreateIoCompletionPort(this.#ported, 0, null, 0);
  }

  get #winsock(): Winsock {
    return this.world.a.winsock;
  }

  perform(one: Step): void {
    const { b } = this.world;
    if (one.kind === 'send' || one.kind === 'receive') this.#start(one.kind, one.bytes, one.means);
    else if (one.kind === 'turn') this.world.settle();
    else if (one.kind === 'run') this.#winsock.SleepEx(0, true);
    else if (one.kind === 'cancel') {
      const chosen = this.started[one.bytes % Math.max(1, this.started.length)];
      if (chosen !== undefined) this.#winsock.CancelIoEx(this.#socketOf(chosen), chosen.overlapped);
    } else {
      for (const s of this.#peers) {
        b.winsock.recv(s, new Uint8Array(30_000), 30_000, 0);
        b.winsock.send(s, pattern(one.bytes), one.bytes, 0);
      }
    }
  }

  /** Closes everything and looks at what was indicated. */
  finish(): void {
    const winsock = this.#winsock;
    winsock.closesocket(this.#plain);
    winsock.closesocket(this.#ported);
    for (const s of this.#peers) this.world.b.winsock.closesocket(s);
    const isOver = (): boolean =>
      this.started.every(({ overlapped }) => overlapped.Internal !== 0x103);
    while (!isOver()) winsock.SleepEx(50, true);
    winsock.SleepEx(0, true);
    this.#drain();
    for (const { means, overlapped, routines, packets } of this.started) {
      const isSet = winsock.WaitForSingleObjectEx(overlapped.hEvent, 0, false) === 0;
      expect([means, isSet, routines, packets]).toEqual([
        means,
        means === 'event' || means === 'tagged',
        means === 'routine' ? 1 : 0,
        means === 'port' ? 1 : 0,
      ]);
    }
    this.world.close();
  }

  #socketOf({ means }: Started): number {
    return means === 'event' || means === 'routine' ? this.#plain : this.#ported;
  }

  #start(kind: 'send' | 'receive', bytes: number, means: Means): void {
    const winsock = this.#winsock;
    // Without an event of its own, a wait for the socket's would find others' ends.
    const event = winsock.WSACreateEvent();
    const isTagged = means === 'tagged';
    const overlapped = spi.createOverlapped(isTagged ? event | 1 : event);
    const one: Started = { means, overlapped, routines: 0, packets: 0 };
    const count = (): void => {
      one.routines++;
    };
    const routine = means === 'routine' ? count : null;
    if (means === 'port') overlapped.hEvent = 0;
    const s = this.#socketOf(one);
    const list = [{ len: bytes, buf: pattern(bytes) }];
    const result =
      kind === 'send'
        ? winsock.WSASend(s, list, 1, null, 0, overlapped, routine)
        : winsock.WSARecv(s, list, 1, null, spi.ref(0), overlapped, routine);
    const isTaken = result === 0 || winsock.WSAGetLastError() === spi.WSA_IO_PENDING;
    if (means === 'port') overlapped.hEvent = 0;
    if (isTaken) this.started.push(one);
    this.#drain();
  }

  #drain(): void {
    const out = spi.ref<spi.WSAOVERLAPPED | null>(null);
    for (;;) {
      this.#winsock.GetQueuedCompletionStatus(this.#port, spi.ref(0), spi.ref<unknown>(0), out, 0);
      if (out.value === null) return;
      const ended = out.value;
      const found = this.started.find(({ overlapped }) => overlapped === ended);
      if (found !== undefined) found.packets++;
    }
  }
}

it('every operation is indicated once, as its call asked for [W9.1 W9.3 W9.4 W9.10.1 W9.10.5 W9.13.1]', () => {
  fc.assert(
    fc.property(
      fc.constantFrom('documented' as const, 'windows' as const, 'hostile' as const),
      fc.array(step, { maxLength: 25 }),
      (profile, steps) => {
        const application = new Application(profile);
        for (const one of steps) application.perform(one);
        application.finish();
      },
    ),
    { numRuns: 60, seed: 20 },
  );
});
