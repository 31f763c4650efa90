// What processes that share a listener leave for each other: read back as it was, and believed as far as
// it can be told.

import { describe, expect, it } from 'vitest';
import {
  decodeCompanions,
  decodeListener,
  encodeCompanions,
  encodeListener,
} from '../../switch/sharing/listener-state.js';

const RECORD = {
  channel: '0f'.repeat(16),
  tcpReserved: 0xffff_ffff,
  localName: '0200'.repeat(8),
  backlog: 5,
};

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
    expect(decodeCompanions(encodeCompanions(companions))).toEqual(companions);
    expect(decodeCompanions(encodeCompanions([]))).toEqual([]);
  });

  it('is nothing when it is of another version or not what it should be', () => {
    const listener = encodeListener(RECORD);
    for (const changes of [
      { version: 2 },
      { channel: '../x' },
      { tcpReserved: -1 },
      { localName: '0200' },
      { backlog: 'many' },
    ]) {
      expect(decodeListener(changed(listener, changes)), JSON.stringify(changes)).toBeNull();
    }
    const none = encodeCompanions([]);
    for (const changes of [
      { version: 2 },
      { companions: 1 },
      { companions: [null] },
      { companions: [{ providerId: 1, reserved: 1 }] },
      { companions: [{ providerId: 'one', reserved: -1 }] },
    ]) {
      expect(decodeCompanions(changed(none, changes)), JSON.stringify(changes)).toBeNull();
    }
  });
});
