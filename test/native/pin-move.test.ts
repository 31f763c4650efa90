// The pin table, and moving bytes to and from memory outside the arenas.

import { describe, expect, it } from 'vitest';
import { Arena } from '../../native/arena.js';
import { errno } from '../../native/errors.js';
import { native } from '../../native/load.js';
import { Prng } from '../../runtime/prng.js';
import { startChild } from './helpers.js';

const PAGE = native.pageSize();

/** Kept, because an address alone does not keep memory from being collected. */
const kept: ArrayBuffer[] = [];

/** Page-aligned address inside `buffer`, which stays until the tests end. */
function alignedIn(buffer: ArrayBuffer): number {
  kept.push(buffer);
  return Math.ceil(native.addressOf(buffer) / PAGE) * PAGE;
}

describe('pinned memory', () => {
  it('shares pages between overlapping pins and is unlocked with the last', () => {
    const buffer = new ArrayBuffer(10 * PAGE);
    const start = alignedIn(buffer);
    const before = native.pinnedBytes();
    const locked = (): number => (native.pinnedBytes() - before) / PAGE;
    expect(native.pin(start, 4 * PAGE)).toBe(0);
    expect(native.pin(start + 3 * PAGE + 1, PAGE)).toBe(0);
    expect(locked()).toBe(5);
    expect(native.pin(start, 4 * PAGE)).toBe(0);
    expect(native.pin(start + 10, 20)).toBe(0);
    expect(locked()).toBe(5);
    expect(native.unpin(start, 4 * PAGE)).toBe(0);
    expect(locked()).toBe(5);
    expect(native.unpin(start, 4 * PAGE)).toBe(0);
    expect(locked()).toBe(3);
    expect(native.unpin(start, 4 * PAGE)).toBe(-errno.EINVAL);
    expect(native.unpin(start + 10, 20)).toBe(0);
    expect(locked()).toBe(2);
    expect(native.unpin(start + 3 * PAGE + 1, PAGE)).toBe(0);
    expect(locked()).toBe(0);
  });

  it('agrees with a count per page over random pins', () => {
    const pages = 24;
    const start = alignedIn(new ArrayBuffer((pages + 1) * PAGE));
    const before = native.pinnedBytes();
    const counts = new Array<number>(pages).fill(0);
    const held: { first: number; count: number }[] = [];
    const prng = new Prng(77);
    const change = (one: { first: number; count: number }, by: number): void => {
      for (let page = one.first; page < one.first + one.count; page++)
        counts[page] = (counts[page] ?? 0) + by;
    };
    for (let step = 0; step < 2_000; step++) {
      if (held.length > 12 || (held.length > 0 && prng.chance(1, 2))) {
        const [one] = held.splice(prng.below(held.length), 1);
        if (one === undefined) continue;
        expect(native.unpin(start + one.first * PAGE, one.count * PAGE)).toBe(0);
        change(one, -1);
      } else {
        const first = prng.below(pages);
        const one = { first, count: 1 + prng.below(pages - first) };
        expect(native.pin(start + one.first * PAGE, one.count * PAGE)).toBe(0);
        held.push(one);
        change(one, 1);
      }
      expect((native.pinnedBytes() - before) / PAGE).toBe(
        counts.filter((count) => count > 0).length,
      );
    }
    for (const one of held) native.unpin(start + one.first * PAGE, one.count * PAGE);
    expect(native.pinnedBytes()).toBe(before);
  });

  it('beyond the limit of an ordinary user is ENOMEM and leaves nothing locked; unlocked pins go on', async () => {
    const child = startChild('pin-limit', [], {
      through: ['sh', '-c', 'ulimit -l 64 && exec "$@"', 'sh'],
    });
    // The sanitizer replaces mlock by nothing, so there is no limit to meet.
    const large =
      native.sanitized() === 1 ? 'large=0 locked=false' : `large=${-errno.ENOMEM} locked=true`;
    expect(await child.line()).toBe(`small=0 ${large} unlocked=0`);
    expect(await child.ended).toBe(0);
  });

  it('of a detached buffer has no address', () => {
    const buffer = new ArrayBuffer(64);
    expect(native.addressOf(buffer)).toBeGreaterThan(0);
    // eslint-disable-next-line no-restricted-globals -- the binding takes one, so one is given
    expect(native.addressOf(new SharedArrayBuffer(64))).toBeGreaterThan(0);
    structuredClone(buffer, { transfer: [buffer] });
    expect(native.addressOf(buffer)).toBe(0);
    expect(native.pin(0, 64)).toBe(-errno.EINVAL);
  });
});

describe('moving bytes', () => {
  it('works between arena and pinned memory, overlap included, and nowhere else', () => {
    const arena = new Arena(1_048_576);
    const data = Uint8Array.from({ length: 256 }, (_, index) => index);
    const address = native.addressOf(data.buffer);
    const target = arena.address + 65_536;
    expect(native.move(0, target, 0, address, 256)).toBe(-errno.EFAULT);
    expect(native.pinUnlocked(address, 256)).toBe(0);
    expect(native.move(0, target, 0, address, 256)).toBe(256);
    expect(native.move(0, target + 1, 0, target, 200)).toBe(200);
    expect([...arena.view.bytes.subarray(65_536, 65_540)]).toEqual([0, 0, 1, 2]);
    expect(native.move(0, address, 0, target, 257)).toBe(-errno.EFAULT);
    expect(native.move(0, arena.address + arena.bytes - 1, 0, address, 2)).toBe(-errno.EFAULT);
    expect(native.move(0, 0, 0, address, 1)).toBe(-errno.EFAULT);
    expect(native.move(1, target, 1, target, 1)).toBe(-errno.EINVAL);
    expect(native.unpin(address, 256)).toBe(0);
    expect(native.move(0, target, 0, address, 1)).toBe(-errno.EFAULT);
  });

  it('reaches the memory of another process and names what is wrong', async () => {
    const child = startChild('exposes', []);
    const [text, address, length] = (await child.line()).split(' ') as [string, string, string];
    const arena = new Arena(16_777_216);
    const bytes = Number(length);
    const local = arena.address + 65_536;
    expect(native.move(0, local, child.pid, Number(address), bytes)).toBe(bytes);
    expect(Buffer.from(arena.view.bytes.subarray(65_536, 65_536 + text.length)).toString()).toBe(
      text,
    );
    expect(arena.view.bytes[65_536 + bytes - 1]).toBe(0x7e);
    arena.view.bytes.set(Buffer.from('HELLO'), 65_536);
    expect(native.move(child.pid, Number(address), 0, local, 5)).toBe(5);
    child.send('show');
    expect(await child.line()).toBe('HELLO');
    expect(native.move(0, local, child.pid, 4096, 16)).toBe(-errno.EFAULT);
    expect(await child.ended).toBe(0);
    expect(native.move(0, local, child.pid, Number(address), 16)).toBe(-errno.ESRCH);
  });
});
