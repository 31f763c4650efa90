// Messages with a name and control data through the addon, and garbage in every argument: run under the
// sanitizers as well (scripts/native-sanitize.mjs). The seed of the fuzzing is printed on failure.

import { describe, expect, it } from 'vitest';
import { MESSAGE_WORDS } from '../../native/binding.js';
import { errno } from '../../native/errors.js';
import { native } from '../../native/load.js';
import { Prng } from '../../runtime/prng.js';
import { atEnd } from './helpers.js';

const AF_INET = 2;
const SOCK_DGRAM = 2;
const MSG_PEEK = 2;
const MSG_TRUNC = 0x20;
const SEED = 0x50c4e7;

function bound(): { fd: number; name: Uint8Array } {
  const fd = native.socketCreate(AF_INET, SOCK_DGRAM, 0);
  atEnd(() => {
    native.closeDescriptor(fd);
  });
  const name = Uint8Array.of(AF_INET, 0, 0, 0, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0);
  expect(native.socketBind(fd, name, 16)).toBe(0);
  expect(native.socketName(fd, name)).toBe(16);
  return { fd, name };
}

describe('messages', () => {
  it('carry a name both ways; what does not fit is said', () => {
    const { fd, name } = bound();
    const told = new Int32Array(MESSAGE_WORDS);
    const parts = [Buffer.from('ab'), null, Buffer.from('cd')];
    expect(native.socketSendMessage(fd, parts, [2, 0, 2], 3, 0, name, null)).toBe(4);
    const into = [new Uint8Array(3)];
    const from = new Uint8Array(28);
    expect(native.socketReceiveMessage(fd, into, [3], 1, MSG_PEEK, from, null, told)).toBe(3);
    expect([told[0], (told[2] ?? 0) & MSG_TRUNC]).toEqual([16, MSG_TRUNC]);
    expect(from.subarray(0, 16)).toEqual(name);
    const short = new Uint8Array(5);
    expect(native.socketReceiveMessage(fd, into, [3], 1, 0, short, null, told)).toBe(3);
    expect([told[0], [...short]]).toEqual([5, [...name.subarray(0, 5)]]);
    expect(native.socketReceiveMessage(fd, into, [3], 1, 0, null, null, told)).toBe(-errno.EAGAIN);
  });

  it('are whole or refused, and wrong arguments throw', () => {
    const { fd, name } = bound();
    const many = new Array<Uint8Array>(1025).fill(new Uint8Array(1));
    const lengths = many.map(() => 1);
    expect(native.socketSendMessage(fd, many, lengths, 1025, 0, name, null)).toBe(-errno.EMSGSIZE);
    const one = [new Uint8Array(1)];
    const short = new Int32Array(MESSAGE_WORDS - 1);
    expect(native.socketReceiveMessage(fd, one, [1], 1, 0, null, null, short)).toBe(-errno.EINVAL);
    expect(() => native.socketSendMessage(fd, one, [2], 1, 0, name, null)).toThrow(TypeError);
    expect(() => native.socketSendMessage(fd, one, [1], 2, 0, name, null)).toThrow(TypeError);
    const wrong = 'name' as unknown as Uint8Array;
    expect(() => native.socketSendMessage(fd, one, [1], 1, 0, wrong, null)).toThrow(TypeError);
    expect(() => native.socketSendMessage(fd, one, [-1], 1, 0, name, null)).toThrow(TypeError);
  });

  it('with garbage for names, control data and options end in an error or in data, never outside', () => {
    const random = new Prng(SEED);
    const { fd, name } = bound();
    const garbage = (max: number): Uint8Array => {
      const bytes = new Uint8Array(random.between(0, max));
      random.fill(bytes);
      return bytes;
    };
    // The destination stays on this machine: the family and the first byte of the address are kept.
    const address = (): Uint8Array => {
      const bytes = garbage(32);
      bytes.set([AF_INET, 0].slice(0, bytes.length));
      if (bytes.length > 4) bytes[4] = 127;
      return random.chance(3, 10) ? name : bytes;
    };
    const control = (): Uint8Array => {
      const bytes = garbage(96);
      // A length that leads outside, or nearly does.
      if (bytes.length >= 16 && random.chance(7, 10)) {
        bytes.fill(0, 0, 16);
        bytes[0] = random.between(0, 255);
        bytes[8] = random.between(0, 1) * 41;
        bytes[12] = random.between(0, 60);
      }
      return bytes;
    };
    const told = new Int32Array(MESSAGE_WORDS);
    for (let round = 0; round < 3000; round++) {
      const data = garbage(64);
      const to = random.chance(1, 10) ? null : address();
      const sent = native.socketSendMessage(fd, [data], [data.length], 1, 0, to, control());
      expect(Number.isInteger(sent) && sent <= data.length, `seed ${SEED}`).toBe(true);
      const into = garbage(64);
      const from = garbage(40);
      const flags = random.between(0, 1) * MSG_PEEK;
      const got = native.socketReceiveMessage(
        fd,
        [into],
        [into.length],
        1,
        flags,
        random.chance(2, 10) ? null : from,
        random.chance(2, 10) ? null : garbage(64),
        told,
      );
      expect(got <= into.length && (got < 0 || (told[0] ?? 0) <= from.length)).toBe(true);
      native.socketSetOption(fd, random.between(0, 50), random.between(0, 80), garbage(24), 0);
      native.socketGetOption(fd, random.between(0, 50), random.between(0, 80), garbage(24));
    }
  });
});

describe('the floor of socket ping-pongs', () => {
  it('is a time for streams and datagrams, and refuses what it cannot run', () => {
    expect(native.socketPingPong(1, 64, 200)).toBeGreaterThan(0);
    expect(native.socketPingPong(2, 64, 200)).toBeGreaterThan(0);
    expect(native.socketPingPong(3, 64, 200)).toBe(-errno.EINVAL);
    expect(native.socketPingPong(1, 0, 200)).toBe(-errno.EINVAL);
    expect(native.socketPingPong(2, 70_000, 200)).toBe(-errno.EINVAL);
  });
});
