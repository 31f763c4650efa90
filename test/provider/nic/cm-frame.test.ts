// Connection manager frames: what is emitted is parsed, and what is not a frame is passed over.

import fc from 'fast-check';
import { expect, it } from 'vitest';
import type { Frame } from '../../../provider/nic/cm-frame.js';
import {
  emitFrame,
  FRAME_BYTES,
  FrameReader,
  FrameType,
  parseFrame,
  wakeFrame,
} from '../../../provider/nic/cm-frame.js';

const SEED = 0x5eed;
const u32 = fc.integer({ min: 0, max: 2 ** 32 - 1 });
const u16 = fc.integer({ min: 0, max: 65_535 });
const u53 = fc.maxSafeNat();

const frames: fc.Arbitrary<Frame> = fc.record({
  type: fc.constantFrom(...Object.values(FrameType)),
  sourceAddress: u32,
  targetAddress: u32,
  sourcePort: u16,
  targetPort: u16,
  sourceComm: u32,
  targetComm: u32,
  reason: u32,
  generation: u53,
  processId: u32,
  endpoint: fc.record({ queuePair: u32, slot: u32, ring: u32, state: u32, sequence: u32 }),
  probeAddress: u53,
  flags: u32,
  privateData: fc.uint8Array({ maxLength: 48 }),
});

function read(...chunks: readonly Uint8Array[]): { frames: Frame[]; garbageBytes: number } {
  const reader = new FrameReader();
  const found: Frame[] = [];
  for (const chunk of chunks) reader.push(chunk, (frame) => found.push(frame));
  return { frames: found, garbageBytes: reader.garbageBytes };
}

it('every frame survives emitting and parsing', () => {
  fc.assert(
    fc.property(frames, (frame) => {
      const bytes = emitFrame(frame);
      expect(bytes.length).toBe(FRAME_BYTES);
      expect(parseFrame(bytes)).toEqual(frame);
    }),
    { seed: SEED },
  );
});

it('a stream is cut into its frames, however it arrives', () => {
  fc.assert(
    fc.property(fc.array(frames, { maxLength: 6 }), fc.array(fc.nat(200)), (sent, sizes) => {
      const stream = Buffer.concat(sent.map(emitFrame));
      const chunks: Uint8Array[] = [];
      let at = 0;
      for (const size of sizes) {
        chunks.push(stream.subarray(at, at + size));
        at += size;
      }
      chunks.push(stream.subarray(at));
      expect(read(...chunks)).toEqual({ frames: sent, garbageBytes: 0 });
    }),
    { seed: SEED },
  );
});

it('garbage between frames costs no frame', () => {
  fc.assert(
    fc.property(frames, frames, fc.uint8Array({ maxLength: 300 }), (first, second, garbage) => {
      const found = read(emitFrame(first), garbage, emitFrame(second));
      expect(found).toEqual({ frames: [first, second], garbageBytes: garbage.length });
    }),
    { seed: SEED },
  );
});

it('a frame cut short does not take the one behind it along, wherever it was cut', () => {
  const whole = {
    ...wakeFrame(0x7f4d0001),
    type: FrameType.REQ,
    targetAddress: 0x7f4d0002,
    sourceComm: 0x12345678,
  };
  for (let length = 1; length < FRAME_BYTES; length++) {
    const found = read(emitFrame(whole).subarray(0, length), emitFrame(whole));
    expect([length, found.frames]).toEqual([length, [whole]]);
  }
});

it('a frame with a changed byte is none', () => {
  const whole = emitFrame({ ...wakeFrame(0x7f4d0001), type: FrameType.REQ });
  for (let at = 0; at < FRAME_BYTES; at++) {
    const damaged = whole.slice();
    damaged[at] = (damaged[at] ?? 0) ^ 0x40;
    expect([at, parseFrame(damaged)]).toEqual([at, null]);
  }
});
