// Sleeping and waking: futexes across processes and threads, the wake pipe, the asymmetric barrier.

import { Worker } from 'node:worker_threads';
import { describe, expect, it } from 'vitest';
import { milliseconds } from '../../runtime/clock.js';
import { Arena } from '../../native/arena.js';
import { errno } from '../../native/errors.js';
import { FabricDirectory } from '../../native/fabric-directory.js';
import { registerForBarriers, sleeperBarrier, waitOnWord, wakeWord } from '../../native/futex.js';
import { native } from '../../native/load.js';
import { OwnerPipe, PeerPipe, WAKE_BYTES_MAX } from '../../native/wake-pipe.js';
import { addonPath } from './addon-path.js';
import { atEnd, scratchDirectory, startChild, until, watchdog } from './helpers.js';

describe('a futex', () => {
  it('wakes a sleeper of another process that maps the word', async () => {
    const base = scratchDirectory();
    const arena = new Arena();
    const host = new FabricDirectory('futex', { base }).claim('127.77.0.1', {
      arena,
      bytes: 65_536,
    });
    atEnd(() => {
      host.release();
    });
    const word = host.segment.word(host.segment.allocate(64) ?? 0);
    const child = startChild('sleeper', [
      base,
      'futex',
      '127.77.0.1',
      String(word - host.segment.offset / 4),
    ]);
    expect(await child.line()).toBe('asleep soon');
    arena.view.storeRelease(word, 1);
    // The child may not sleep yet; then it sees the changed word instead.
    await until(
      () => wakeWord(arena, word, 1) === 1 || arena.view.loadAcquire(word + 1) === 1,
      'a sleeper',
    );
    expect(await child.line()).toBe('awake');
    expect(await child.ended).toBe(0);
  });

  it('wakes a sleeping worker thread of this process', async () => {
    const arena = new Arena(1_048_576);
    const word = 16_384;
    const source = `
      const { workerData, parentPort } = require('node:worker_threads');
      const native = require(workerData.addon);
      let result;
      do result = native.futexWait(workerData.address, 0, Infinity); while (result === -${errno.EINTR});
      parentPort.postMessage(result);
    `;
    const worker = new Worker(source, {
      eval: true,
      workerData: { addon: addonPath, address: arena.address + word * 4 },
    });
    let outcome: number | undefined;
    worker.on('message', (result: number) => {
      outcome = result;
    });
    await until(() => wakeWord(arena, word) === 1, 'a sleeping worker');
    await until(() => outcome !== undefined, 'the outcome');
    expect(outcome).toBe(0);
    await watchdog(worker.terminate(), 'the end of the worker');
  });

  it('says why it did not sleep, and refuses memory that is not shared', () => {
    const arena = new Arena(1_048_576);
    arena.view.storePlain(16_384, -5);
    expect(waitOnWord(arena, 16_384, 0, Infinity)).toBe('changed');
    expect(waitOnWord(arena, 16_384, -5, 1_000)).toBe('timed-out');
    expect(waitOnWord(arena, 16_384, 2 ** 32 - 5, 0)).toBe('timed-out');
    expect(native.futexWait(0, 0, 0)).toBe(-errno.EFAULT);
    expect(native.futexWake(4096, 1)).toBe(-errno.EFAULT);
    expect(native.futexWait(arena.address + 1, 0, 0)).toBe(-errno.EINVAL);
  });

  it('waits at least as long as asked for', () => {
    const arena = new Arena(1_048_576);
    const start = native.now();
    expect(waitOnWord(arena, 16_384, 0, milliseconds(3))).toBe('timed-out');
    expect(native.now() - start).toBeGreaterThanOrEqual(milliseconds(3));
  });
});

describe('the barrier', () => {
  it('is there once registered for, or is reported missing', () => {
    if (registerForBarriers()) sleeperBarrier();
    else expect([-errno.ENOSYS, -errno.EINVAL]).toContain(native.barrierRegister());
  });
});

describe('a wake pipe', () => {
  it('takes a message whole or not at all', () => {
    const path = `${scratchDirectory()}/one.wake`;
    const owner = OwnerPipe.create(path);
    const peer = PeerPipe.open(path);
    if (peer === null) throw new Error('the owner is alive');
    // A message size that does not divide the pipe's capacity: a partial write would show.
    const message = new Uint8Array(3000).fill(7);
    let sent = 0;
    while (peer.write(message) === 'sent') sent++;
    expect(sent).toBeGreaterThan(0);
    expect(peer.write(message)).toBe('full');
    const sink = new Uint8Array(65_536);
    let received = 0;
    for (let count = owner.read(sink); count > 0; count = owner.read(sink)) received += count;
    expect(received).toBe(sent * message.length);
    expect(owner.read(sink)).toBe(0);
    expect(() => peer.write(new Uint8Array(WAKE_BYTES_MAX + 1))).toThrow('EINVAL');
    peer.close();
    owner.close();
  });

  it('shows whether its owner lives, before and after opening', () => {
    const path = `${scratchDirectory()}/one.wake`;
    expect(PeerPipe.open(path)).toBeNull();
    native.pipeCreate(path);
    expect(PeerPipe.open(path)).toBeNull();
    expect(() => OwnerPipe.create(path)).toThrow('EEXIST');
    const fd = native.pipeOpenOwner(path);
    const peer = PeerPipe.open(path);
    expect(peer?.isAlive()).toBe(true);
    native.closeDescriptor(fd);
    expect(peer?.isAlive()).toBe(false);
    expect(peer?.write(new Uint8Array(1))).toBe('gone');
    peer?.close();
  });
});
