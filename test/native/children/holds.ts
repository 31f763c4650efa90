// Holds the memory of buffers that are transferred and collected, and reports what became of the
// memory. Run with --expose-gc.

import { native } from '../../../native/load.js';
import { Arena } from '../../../native/arena.js';
import { Prng } from '../../../runtime/prng.js';
import { hangUp, say } from './lines.js';

const BYTES = 16_777_216;
const ROUNDS = 2_000;
const SMALL_BYTES = 10_000;

const collect = globalThis.gc;
if (collect === undefined) throw new Error('run with --expose-gc');

/** Bytes behind all ArrayBuffers of this thread, those without an object included. */
const inUse = (): number => process.memoryUsage().arrayBuffers;

/** Collects until `done` holds: finalizers and freed memory come in later turns. */
async function collectUntil(done: () => boolean): Promise<void> {
  while (!done()) {
    collect?.();
    await new Promise((resolve) => {
      setImmediate(resolve);
    });
  }
}

let collected = 0;
const registry = new FinalizationRegistry<number>(() => {
  collected++;
});

/** A buffer of random bytes that is transferred away; nobody keeps either object. */
function makeAndTransfer(
  bytes: number,
  fill: (content: Uint8Array) => void,
): { address: number; handle: number } {
  const buffer = new ArrayBuffer(bytes);
  fill(new Uint8Array(buffer));
  const address = native.addressOf(buffer);
  const handle = native.hold(buffer);
  const moved = structuredClone(buffer, { transfer: [buffer] });
  registry.register(buffer, 0);
  registry.register(moved, 0);
  return { address, handle };
}

const arena = new Arena(2 * BYTES);
const prng = new Prng(41);
const content = Uint8Array.from({ length: BYTES / 1024 }, () => prng.below(256));
const repeat = (bytes: Uint8Array): void => {
  for (let at = 0; at < bytes.length; at += content.length) bytes.set(content, at);
};

await collectUntil(() => true);
const before = inUse();
const held = makeAndTransfer(BYTES, repeat);
const loose = makeAndTransfer(BYTES, repeat);
native.release(loose.handle);
await collectUntil(() => collected === 4 && inUse() < before + 1.5 * BYTES);
const whileHeld = Math.round((inUse() - before) / BYTES);
// Whoever had the old memory by mistake would fill it now.
const others = Array.from({ length: 4 }, () => new Uint8Array(BYTES).fill(0xee));

native.pinUnlocked(held.address, BYTES);
const moved = native.move(0, arena.address, 0, held.address, BYTES);
native.unpin(held.address, BYTES);
let isIntact = moved === BYTES && others.every((other) => other[BYTES - 1] === 0xee);
for (let at = 0; at < BYTES; at++) {
  if (arena.view.bytes[at] !== content[at % content.length]) isIntact = false;
}

const beforeRelease = inUse();
const released = native.release(held.handle);
const freed = beforeRelease - inUse();
const again = native.release(held.handle);

/** Many buffers held, transferred and collected, in rounds, and one held many times over. */
async function round(): Promise<void> {
  const handles: number[] = [];
  const one = new ArrayBuffer(SMALL_BYTES);
  for (let count = 0; count < ROUNDS; count++) {
    handles.push(makeAndTransfer(SMALL_BYTES, () => undefined).handle, native.hold(one));
  }
  await collectUntil(() => true);
  for (const handle of handles) if (native.release(handle) !== 0) throw new Error('release');
}

others.length = 0;
await round();
await collectUntil(() => inUse() < before + BYTES);
const start = { inUse: inUse(), resident: process.memoryUsage.rss() };
for (let count = 0; count < 10; count++) await round();
await collectUntil(() => inUse() < start.inUse + 10 * SMALL_BYTES);
say(
  JSON.stringify({
    whileHeld,
    isIntact,
    released,
    freed,
    again,
    residentMib: (process.memoryUsage.rss() - start.resident) / 1_048_576,
  }),
);
hangUp();
