// Arenas and segments: mapping, blocks, refusal of foreign or damaged files, full storage.

import {
  existsSync,
  readdirSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import { Arena } from '../../native/arena.js';
import { errno, SystemError } from '../../native/errors.js';
import { FreeList } from '../../native/free-list.js';
import {
  SEGMENT_MAGIC,
  SEGMENT_VERSION,
  segmentHeader,
} from '../../native/layout/segment.layout.js';
import { native } from '../../native/load.js';
import { Segment } from '../../native/segment.js';
import { scratchDirectory } from './helpers.js';

const MIB = 1_048_576;
const options = { bytes: 4 * MIB, address: 0x7f4d0001, generation: 7 };

function codeOf(act: () => unknown): string {
  try {
    act();
  } catch (thrown) {
    if (thrown instanceof SystemError) return thrown.code;
    throw thrown;
  }
  return 'no failure';
}

/** A header that segmentOpen accepts, with some fields changed. */
function writeSegmentFile(
  path: string,
  fields: { magic?: number; version?: number; bytes?: number },
): void {
  const file = Buffer.alloc(65_536);
  file.writeUInt32LE(fields.magic ?? SEGMENT_MAGIC, segmentHeader.offset('magic'));
  file.writeUInt32LE(fields.version ?? SEGMENT_VERSION, segmentHeader.offset('version'));
  file.writeBigUInt64LE(BigInt(fields.bytes ?? file.length), segmentHeader.offset('bytes'));
  writeFileSync(path, file);
}

describe('a segment', () => {
  it('is seen by every mapping, in whatever arena, with what its header states', () => {
    const path = `${scratchDirectory()}/one.segment`;
    const owner = Segment.create(new Arena(), path, options);
    const arena = new Arena(64 * MIB);
    const peer = Segment.open(arena, path);
    expect(peer).toMatchObject({
      bytes: 4 * MIB,
      address: 0x7f4d0001,
      generation: 7,
      pid: process.pid,
      isOwner: false,
    });
    const block = owner.allocate(64) ?? -1;
    owner.arena.view.storeRelease(owner.word(block), 0x1234);
    expect(arena.view.loadAcquire(peer.word(block))).toBe(0x1234);
    expect(statSync(path).mode & 0o777).toBe(0o600);
    peer.close();
    owner.close();
    expect(existsSync(path)).toBe(false);
    expect([arena.windowCount, owner.arena.windowCount]).toEqual([0, 0]);
  });

  it('leaves zeros in the arena when it is unmapped, and its window is used again', () => {
    const path = `${scratchDirectory()}/one.segment`;
    const arena = new Arena(64 * MIB);
    const first = Segment.create(arena, path, options);
    const word = first.word(0);
    expect(arena.view.loadAcquire(word)).toBe(SEGMENT_MAGIC);
    first.close();
    first.close();
    expect(arena.view.loadAcquire(word)).toBe(0);
    const second = Segment.create(arena, path, options);
    expect(second.offset).toBe(first.offset);
    second.close();
  });

  it('of another magic, version, size or kind is refused', () => {
    const directory = scratchDirectory();
    const path = `${directory}/one.segment`;
    const arena = new Arena(64 * MIB);
    const open = (): unknown => Segment.open(arena, path);
    expect(codeOf(open)).toBe('ENOENT');
    writeSegmentFile(path, { magic: SEGMENT_MAGIC + 1 });
    expect(codeOf(open)).toBe('EILSEQ');
    writeSegmentFile(path, { version: SEGMENT_VERSION + 1 });
    expect(codeOf(open)).toBe('EPROTO');
    writeSegmentFile(path, { bytes: 2 ** 40 });
    expect(codeOf(open)).toBe('EILSEQ');
    truncateSync(path, 63);
    expect(codeOf(open)).toBe('EILSEQ');
    symlinkSync(path, `${directory}/link.segment`);
    expect(codeOf(() => Segment.open(arena, `${directory}/link.segment`))).toBe('ELOOP');
    native.pipeCreate(`${directory}/pipe.segment`);
    expect(codeOf(() => Segment.open(arena, `${directory}/pipe.segment`))).toBe('EILSEQ');
    expect(arena.windowCount).toBe(0);
  });

  it('that exists already is not created over', () => {
    const path = `${scratchDirectory()}/one.segment`;
    const arena = new Arena(64 * MIB);
    const segment = Segment.create(arena, path, options);
    expect(codeOf(() => Segment.create(arena, path, options))).toBe('EEXIST');
    expect(existsSync(path)).toBe(true);
    segment.close();
  });

  it('too large for its arena is refused and leaves no file', () => {
    const directory = scratchDirectory();
    const arena = new Arena(MIB);
    expect(codeOf(() => Segment.create(arena, `${directory}/one.segment`, options))).toBe('ENOMEM');
    expect(readdirSync(directory)).toEqual([]);
  });
});

describe('the blocks of a segment', () => {
  it('are aligned, zeroed, disjoint, and return to the system', () => {
    const segment = Segment.create(new Arena(), `${scratchDirectory()}/one.segment`, {
      ...options,
      bytes: 64 * MIB,
    });
    const bytes = segment.arena.view.bytes;
    const first = segment.allocate(100) ?? -1;
    const second = segment.allocate(16 * MIB, 65_536) ?? -1;
    expect(first % 64).toBe(0);
    expect(first).toBeGreaterThanOrEqual(segmentHeader.bytes);
    expect(second % 65_536).toBe(0);
    expect(segment.committedBytes).toBeGreaterThan(16 * MIB);
    bytes.fill(0xff, segment.byte(first), segment.byte(first) + 128);
    bytes.fill(0xff, segment.byte(second), segment.byte(second) + 16 * MIB);
    segment.free(first);
    segment.free(second);
    expect(segment.committedBytes).toBeLessThan(2 * MIB);
    const again = segment.allocate(128) ?? -1;
    expect(again).toBe(first);
    expect(
      bytes.subarray(segment.byte(again), segment.byte(again) + 128).every((byte) => byte === 0),
    ).toBe(true);
    expect([segment.blockCount, segment.allocatedBytes]).toEqual([1, 128]);
    segment.close();
  });

  it('run out as null, and fit again once freed', () => {
    const segment = Segment.create(new Arena(), `${scratchDirectory()}/one.segment`, {
      ...options,
      bytes: 2 * MIB,
    });
    const large = segment.allocate(1.5 * MIB) ?? -1;
    expect(large).toBeGreaterThan(0);
    expect(segment.allocate(MIB)).toBeNull();
    segment.free(large);
    expect(segment.allocate(MIB)).not.toBeNull();
    expect(() => segment.allocate(0)).toThrow(RangeError);
    expect(() => segment.allocate(64, 3)).toThrow(RangeError);
    segment.close();
  });

  it('are refused without a trace when the memory behind them cannot be had', () => {
    const segment = Segment.create(new Arena(), `${scratchDirectory()}/one.segment`, {
      ...options,
      bytes: MIB,
    });
    const middle = segment.allocate(65_536, MIB / 2) ?? -1;
    const before = segment.committedBytes;
    // The storage fills up behind the block in the middle: the first run is committed, the second
    // is not.
    const commit = native.segmentCommit.bind(native);
    const spy = vi
      .spyOn(native, 'segmentCommit')
      .mockImplementation((fd, offset, length) =>
        offset > MIB / 2 ? -errno.ENOSPC : commit(fd, offset, length),
      );
    segment.free(middle);
    expect(segment.allocate(0.75 * MIB)).toBeNull();
    expect(spy).toHaveBeenCalledTimes(2);
    expect([segment.committedBytes, segment.blockCount]).toEqual([before, 0]);
    spy.mockRestore();
    expect(segment.allocate(0.75 * MIB)).not.toBeNull();
    segment.close();
  });

  it('cannot be committed beyond what the storage holds', () => {
    // More than the whole file system has, which the kernel refuses before it takes a page.
    const path = `${scratchDirectory()}/one.segment`;
    const fd = native.segmentCreate(path, 2 ** 50);
    expect(native.segmentSize(fd)).toBe(2 ** 50);
    expect(native.segmentCommit(fd, 0, 2 ** 50)).toBe(-errno.ENOSPC);
    expect(statSync(path).blocks).toBe(0);
    native.closeDescriptor(fd);
  });
});

describe('the free list', () => {
  it('hands out disjoint ranges and is whole again when all are freed', () => {
    const sizes = fc.array(fc.record({ bytes: fc.integer({ min: 1, max: 900 }), log: fc.nat(8) }), {
      maxLength: 60,
    });
    fc.assert(
      fc.property(sizes, fc.infiniteStream(fc.nat(1)), (wanted, coins) => {
        const list = new FreeList(64, 8192);
        const held: { offset: number; bytes: number }[] = [];
        for (const { bytes, log } of wanted) {
          const offset = list.allocate(bytes, 2 ** log);
          if (offset >= 0) {
            expect(offset % 2 ** log).toBe(0);
            expect(offset >= 64 && offset + bytes <= 64 + 8192).toBe(true);
            expect(
              held.every((one) => one.offset + one.bytes <= offset || offset + bytes <= one.offset),
            ).toBe(true);
            held.push({ offset, bytes });
          }
          if (coins.next().value === 1) {
            const one = held.shift();
            if (one !== undefined) list.free(one.offset, one.bytes);
          }
        }
        for (const one of held) list.free(one.offset, one.bytes);
        expect([list.freeBytes, list.extentCount]).toEqual([8192, 1]);
      }),
      { seed: 20_260_101 },
    );
  });
});
