// Makes and drops arenas, watchers, segments and pins, and reports what is left of them. Run with
// --expose-gc.

import { readdirSync, readFileSync } from 'node:fs';
import type { NativeWatcher } from '../../../native/binding.js';
import { native } from '../../../native/load.js';
import { hangUp, say } from './lines.js';

const ARENAS = 200;
const ROUND = 25;

const collect = globalThis.gc;
if (collect === undefined) throw new Error('run with --expose-gc');

/** Finalizers run in later turns of the event loop. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 5; turn++) {
    collect?.();
    await new Promise((resolve) => {
      setImmediate(resolve);
    });
  }
}

/** Arenas' worth of address space (4 GiB) that this process has mapped. */
const arenas = (): number =>
  (Number(readFileSync('/proc/self/statm', 'utf8').split(' ')[0]) * native.pageSize()) / 2 ** 32;

const descriptors = (): number => readdirSync('/proc/self/fd').length;

let collectedWatchers = 0;
const registry = new FinalizationRegistry<number>(() => {
  collectedWatchers++;
});

function useWatcher(epoll: number, isDropped: boolean): void {
  const watcher: NativeWatcher | number = native.watch(epoll, () => {
    if (typeof watcher !== 'number') watcher.stop();
  });
  if (typeof watcher === 'number') throw new Error('watch');
  watcher.start();
  watcher.stop();
  registry.register(watcher, 0);
  if (!isDropped) watcher.close();
}

async function round(): Promise<number> {
  let failures = 0;
  for (let count = 0; count < ROUND; count++) {
    const arena = native.arenaCreate(2 ** 32);
    if (typeof arena === 'number') failures++;
    else new Int32Array(arena)[count * 1024] = 1;
    const buffer = new ArrayBuffer(10_000);
    const address = native.addressOf(buffer);
    if (native.pin(address, 10_000) !== 0 || native.unpin(address, 10_000) !== 0) failures++;
    const epoll = native.epollCreate();
    useWatcher(epoll, false);
    useWatcher(epoll, true);
    native.closeDescriptor(epoll);
  }
  await settle();
  return failures;
}

let failures = await round();
const before = {
  descriptors: descriptors(),
  resident: process.memoryUsage.rss(),
  arenas: arenas(),
};
for (let made = ROUND; made < ARENAS; made += ROUND) failures += await round();
say(
  JSON.stringify({
    failures,
    collectedWatchers,
    descriptors: descriptors() - before.descriptors,
    arenas: Math.round(arenas() - before.arenas),
    pinned: native.pinnedBytes(),
    residentMib: (process.memoryUsage.rss() - before.resident) / 1_048_576,
  }),
);
hangUp();
