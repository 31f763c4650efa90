// The addon's life: worker threads that come and go, in the middle of anything; collection; a peer
// that takes its memory away.

import { readFileSync, truncateSync } from 'node:fs';
import { Worker } from 'node:worker_threads';
import { describe, expect, it } from 'vitest';
import { Arena } from '../../native/arena.js';
import { native } from '../../native/load.js';
import { Segment } from '../../native/segment.js';
import { addonPath } from './addon-path.js';
import { scratchDirectory, startChild, watchdog } from './helpers.js';

const WORKER = `
  const { workerData, parentPort } = require('node:worker_threads');
  const native = require(workerData.addon);
  const arena = native.arenaCreate(2 ** 32);
  const address = native.arenaAddress(arena);
  new Int32Array(arena)[0] = 1;
  const buffer = new ArrayBuffer(65536);
  if (native.pin(native.addressOf(buffer), 65536) !== 0) throw new Error('pin');
  if (!(native.hold(buffer) > 0)) throw new Error('hold');
  const epoll = native.epollCreate();
  const event = native.eventCreate();
  native.epollControl(epoll, event, 1, 7);
  const watcher = native.watch(epoll, () => { native.eventClear(event); parentPort.postMessage('woken'); });
  watcher.start();
  native.eventSignal(event);
  const stay = {
    return: () => { watcher.close(); native.closeDescriptor(epoll); native.closeDescriptor(event); },
    linger: () => {},
    // Ends in the turn in which watchers are collected and closed.
    collect: () => {
      watcher.close();
      for (let count = 0; count < 10; count++) native.watch(epoll, () => undefined);
      require('node:v8').setFlagsFromString('--expose-gc');
      require('node:vm').runInNewContext('gc')();
      setImmediate(() => process.exit());
    },
    futex: () => { for (;;) native.futexWait(address, 1, Infinity); },
    epoll: () => { native.eventClear(event); for (;;) native.epollWait(epoll, new Int32Array(16), Infinity); },
  };
  parentPort.postMessage('ready');
  stay[workerData.way]();
`;

const ENDS_BY_ITSELF = ['return', 'collect'];

/** Megabytes of address space of this process. */
function addressSpace(): number {
  return (
    (Number(readFileSync('/proc/self/statm', 'utf8').split(' ')[0]) * native.pageSize()) / 1_048_576
  );
}

async function runWorker(way: string): Promise<void> {
  const worker = new Worker(WORKER, { eval: true, workerData: { addon: addonPath, way } });
  const failed = new Promise<never>((_, reject) => {
    worker.once('error', reject);
  });
  const ready = new Promise<void>((resolve) => {
    worker.once('message', () => {
      resolve();
    });
  });
  const ended = new Promise<void>((resolve) => {
    worker.once('exit', () => {
      resolve();
    });
  });
  await watchdog(Promise.race([ready, failed]), `a worker that is to ${way}`);
  if (!ENDS_BY_ITSELF.includes(way))
    await watchdog(worker.terminate(), `the end of a worker in ${way}`);
  await watchdog(Promise.race([ended, failed]), `the exit of a worker that is to ${way}`);
}

describe('a worker thread', () => {
  it('may load the addon and end, by itself or terminated in any wait, again and again', async () => {
    const pinned = native.pinnedBytes();
    const before = addressSpace();
    for (const way of ['return', 'linger', 'futex', 'epoll', 'collect', 'return', 'linger'])
      await runWorker(way);
    await Promise.all(['return', 'linger', 'return'].map((way) => runWorker(way)));
    expect(native.pinnedBytes()).toBe(pinned);
    // Ten arenas came; all went with their threads.
    expect(addressSpace() - before).toBeLessThan(2 * 4096);
  });
});

describe('collection', () => {
  it('takes arenas and idle watchers, and nothing piles up', async () => {
    const child = startChild('leaks', [], { nodeArguments: ['--expose-gc'] });
    const report = JSON.parse(await child.line()) as Record<string, number>;
    expect(report).toMatchObject({ failures: 0, descriptors: 0, pinned: 0 });
    expect(report['arenas']).toBeLessThan(25);
    expect(report['collectedWatchers']).toBeGreaterThan(0);
    expect(report['residentMib']).toBeLessThan(sanitizedAllowance(100));
    expect(await child.ended).toBe(0);
  });
});

/** The sanitizer keeps freed memory for a while. */
function sanitizedAllowance(mib: number): number {
  return native.sanitized() === 1 ? mib * 4 : mib;
}

describe('a peer that truncates its segment', () => {
  it('turns our view of it into zeros, and everything else goes on', () => {
    const path = `${scratchDirectory()}/one.segment`;
    const arena = new Arena();
    const owner = Segment.create(new Arena(), path, {
      bytes: 1_048_576,
      address: 1,
      generation: 1,
    });
    const block = owner.allocate(200_000, 65_536) ?? 0;
    owner.arena.view.storeRelease(owner.word(block), 42);
    const peer = Segment.open(arena, path);
    expect(arena.view.loadAcquire(peer.word(block))).toBe(42);
    truncateSync(path, 4096);
    expect(arena.view.loadAcquire(peer.word(block))).toBe(0);
    arena.view.bytes.fill(1, peer.byte(block), peer.byte(block) + 200_000);
    expect(native.move(0, peer.addressOf(block + 400_000), 0, peer.addressOf(block), 100_000)).toBe(
      100_000,
    );
    expect(arena.view.loadAcquire(peer.word(0))).not.toBe(0);
    peer.close();
    owner.close();
  });

  it('does not hide a fault elsewhere: the process still dies of it', async () => {
    const child = startChild('bus-error', []);
    expect(await child.line()).toBe('handler installed');
    // The sanitizer has a handler of its own, which reports and exits.
    expect(await child.ended).toBe(native.sanitized() === 1 ? 1 : 'SIGBUS');
  });
});
