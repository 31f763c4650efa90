// Three hosts over the NIC in memory, two of which can have one connection in turn, and the shelf on
// which one leaves it for the other.

import { expect } from 'vitest';
import type * as spi from '../../../provider/spi/index.js';
import { FakeFabric } from './fake-nic.js';
import { LEFT_IP, LISTEN_PORT, RIGHT_IP, settle, shutDown, TestHost } from './harness.js';

/** A handover store of one process. */
export class HandoverShelf implements spi.HandoverStore {
  readonly #records = new Map<number, Uint8Array>();
  #next = 1;

  get count(): number {
    return this.#records.size;
  }

  leave(_processId: number, record: Uint8Array): number {
    this.#records.set(this.#next, record);
    return this.#next++;
  }

  take(name: number): Uint8Array | null {
    const record = this.#records.get(name) ?? null;
    this.#records.delete(name);
    return record;
  }
}

export interface FakeTrio {
  readonly fabric: FakeFabric;
  readonly old: TestHost;
  readonly next: TestHost;
  readonly peer: TestHost;
  /** Descriptors of the connection: the old end's, the peer's. */
  readonly a: number;
  readonly b: number;
  /** Ends all three; nothing is left. */
  readonly end: () => void;
}

/** A connection between `old` and `peer`. Whoever waits in `next` lets the peer work as well. */
export function linkedTrio(handover: spi.HandoverStore): FakeTrio {
  const fabric = new FakeFabric();
  const old = new TestHost(fabric, LEFT_IP, { handover });
  const next = new TestHost(fabric, '127.77.0.3', { handover });
  const peer = new TestHost(fabric, RIGHT_IP, { handover });
  const listener = peer.listening(LISTEN_PORT);
  const a = old.bound(40001);
  old.connect(a, RIGHT_IP, LISTEN_PORT);
  settle(old, peer);
  const b = peer.accept(listener);
  settle(old, peer);
  expect(old.connectOutcome(a)).toBeNull();
  old.upcalls.calls.length = 0;
  peer.upcalls.calls.length = 0;
  const agent = { role: 'the peer', doWork: (): number => peer.loop.poll() };
  next.loop.add(agent);
  const end = (): void => {
    next.loop.remove(agent);
    shutDown(old, next, peer);
  };
  return { fabric, old, next, peer, a, b, end };
}
