// What processes that share a listener leave for each other: read back as it was, and believed as far as
// it can be told.

import { describe, expect, it } from 'vitest';
import { defaultSessionLimits } from '../../switch/session/limits.js';
import type { SessionState } from '../../switch/session/state.js';
import {
  decodeListener,
  decodeMoved,
  encodeListener,
  encodeMoved,
  type MovedArrival,
} from '../../switch/sharing/listener-state.js';

const RECORD = {
  channel: '0f'.repeat(16),
  tcpReserved: 0xffff_ffff,
  localName: '0200'.repeat(8),
  backlog: 5,
};

/** A connection on its way, with so many bytes that nobody has read. */
function arrival(providerId: string, unread: number): MovedArrival {
  const limits = defaultSessionLimits;
  const { messageBytes, thresholdBytes, rdmaBytesMax, transferSlots } = limits;
  const sizes = { messageBytes, thresholdBytes, rdmaBytesMax, transferSlots };
  const agreed = { ...sizes, smallBytes: 1_000 };
  const arrived = { stored: Buffer.alloc(unread, 7), storedTotal: unread, staged: Buffer.alloc(0) };
  const session = {
    agreed,
    credits: [1, 2],
    announcements: [],
    inbound: { ...arrived, waiting: [], marks: [], urgent: [], discarding: false, refusal: 0 },
    outbound: {},
    closing: {},
  } as unknown as SessionState;
  const timeouts = { sendTimeoutMs: 0, receiveTimeoutMs: 0, lingerOn: false, lingerSeconds: 0 };
  const flags = { oobInline: false, sendShut: false, receiveShut: false };
  const options = { ...timeouts, ...flags, options: [] };
  return {
    providerId,
    localName: Buffer.alloc(16, 1),
    peerName: Buffer.alloc(16, 2),
    control: { reserved: 5, role: 'acceptor', limits, session, options },
  };
}

function changed(bytes: Uint8Array, changes: object): Uint8Array {
  const found = JSON.parse(Buffer.from(bytes).toString()) as object;
  return Buffer.from(JSON.stringify({ ...found, ...changes }));
}

describe('what is told of a shared listener', () => {
  it('is read as it was written [DUP-12 DUP-14]', () => {
    expect(decodeListener(encodeListener(RECORD))).toEqual(RECORD);
    const companions = [
      { providerId: 'one', reserved: 1 },
      { providerId: 'two', reserved: 2 },
    ];
    const arrivals = [arrival('one', 100), arrival('two', 0)];
    expect(decodeMoved(encodeMoved({ companions, arrivals }))).toEqual({ companions, arrivals });
    expect(decodeMoved(encodeMoved({ companions: [], arrivals: [] }))).toEqual({
      companions: [],
      arrivals: [],
    });
  });

  it('is nothing when it is of another version or not what it should be', () => {
    const listener = encodeListener(RECORD);
    for (const changes of [
      { version: 1 },
      { channel: '../x' },
      { tcpReserved: -1 },
      { localName: '0200' },
      { backlog: 'many' },
    ]) {
      expect(decodeListener(changed(listener, changes)), JSON.stringify(changes)).toBeNull();
    }
    const one = encodeMoved({ companions: [], arrivals: [arrival('one', 10)] });
    const end = one.indexOf(10);
    const head = JSON.parse(Buffer.from(one.subarray(0, end)).toString()) as {
      readonly arrivals: readonly object[];
    };
    const moved = (changes: object, rest = one.subarray(end)): Uint8Array =>
      Buffer.concat([Buffer.from(JSON.stringify({ ...head, ...changes })), rest]);
    expect(decodeMoved(moved({}))).not.toBeNull();
    for (const changes of [
      { version: 1 },
      { companions: 1 },
      { companions: [null] },
      { companions: [{ providerId: 1, reserved: 1 }] },
      { companions: [{ providerId: 'one', reserved: -1 }] },
      { arrivals: null },
      { arrivals: [] },
      { arrivals: [null] },
      ...[{ providerId: 1 }, { localName: 'x' }, { peerName: '' }, { length: 1 }].map((change) => {
        return { arrivals: [{ ...head.arrivals[0], ...change }] };
      }),
    ]) {
      expect(decodeMoved(moved(changes)), JSON.stringify(changes)).toBeNull();
    }
    expect(decodeMoved(moved({}, one.subarray(end, -1)))).toBeNull();
    expect(decodeMoved(moved({}, Buffer.concat([one.subarray(end), Buffer.of(0)])))).toBeNull();
    expect(decodeMoved(Buffer.of(1, 2, 3))).toBeNull();
  });
});
