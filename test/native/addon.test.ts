// The addon's seam: what it exports, how it refuses arguments, the clock and machine, the floors,
// and the generated files.

import { Worker } from 'node:worker_threads';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { Arena } from '../../native/arena.js';
import { check, errno, errnoName, SystemError } from '../../native/errors.js';
import { native } from '../../native/load.js';
import { staleFiles } from '../../scripts/gen-layout.js';
import { addonPath } from './addon-path.js';
import { watchdog } from './helpers.js';

const bindingSource = readFileSync(
  fileURLToPath(new URL('../../native/binding.ts', import.meta.url)),
  'utf8',
);

describe('the seam', () => {
  it('is exactly the interface NativeBinding', () => {
    const body = bindingSource.slice(
      bindingSource.indexOf('interface NativeBinding'),
      bindingSource.indexOf('interface NativeWatcher'),
    );
    const declared = [...body.matchAll(/^ {2}(\w+)\(/gm)].map((match) => match[1]);
    expect(Object.keys(native).sort()).toEqual(declared.sort());
  });

  it('refuses a wrong count or type with a TypeError that names the argument', () => {
    const loose = native as unknown as Record<string, (...args: unknown[]) => unknown>;
    const refused = (name: string, ...args: unknown[]): unknown => {
      try {
        loose[name]?.(...args);
      } catch (thrown) {
        if (thrown instanceof TypeError) return thrown.message;
      }
      return 'accepted';
    };
    expect(refused('now', 1)).toBe('now: takes 0 arguments, not 1');
    expect(refused('pin', 1)).toBe('pin: takes 2 arguments, not 1');
    expect(refused('pin', '1', 2)).toBe('pin: argument 1 must be a whole number from 0 to 2^53');
    for (const wrong of [-1, 0.5, NaN, Infinity, 2 ** 60])
      expect(refused('pin', 1, wrong)).toContain('argument 2');
    expect(refused('closeDescriptor', 2 ** 31)).toContain('a 32-bit integer');
    expect(refused('futexWait', 0, 2 ** 32, 0)).toContain('a 32-bit word');
    expect(refused('futexWait', 0, 0, NaN)).toContain('a number');
    expect(refused('pipeCreate', 'a\0b')).toContain('a string without NUL');
    expect(refused('arenaAddress', new Uint8Array(1))).toContain('an ArrayBuffer');
    expect(refused('pipeRead', 0, new Int32Array(1))).toContain('a Uint8Array');
    expect(refused('epollWait', 0, new Uint8Array(8), 0)).toContain('an Int32Array');
    expect(refused('watch', 0, null)).toContain('a function');
    expect(refused('setAffinity', ['0'])).toContain('an array of CPU numbers');
    expect(refused('socketSend', 0, [null], [1], 1, 0)).toContain('as long as its length');
    expect(refused('socketSend', 0, [null], [0], 2, 0)).toContain('count exceeds');
    expect(refused('socketSend', 0, [1], [0], 1, 0)).toContain('a Uint8Array or null');
  });

  it('answers a failed call with the negative errno, which check() names', () => {
    expect(native.closeDescriptor(-1)).toBe(-errno.EBADF);
    const failing = (): number => check(native.segmentOpen('/dev/shm/no/such'), 'open', 'the file');
    expect(failing).toThrow(SystemError);
    expect(failing).toThrow('open failed with ENOENT: the file');
    expect([check(0, 'x'), check(7, 'x'), errnoName(28), errnoName(9999)]).toEqual([
      0,
      7,
      'ENOSPC',
      'E9999',
    ]);
  });

  it('refuses mappings that leave the arena or are no arena', () => {
    const arena = native.arenaCreate(1_048_576) as ArrayBuffer;
    expect(native.arenaCreate(1)).toBe(-errno.EINVAL);
    expect(native.arenaCreate(2 ** 53)).toBe(-errno.ENOMEM);
    expect(native.arenaMap(arena, 0, 0, 1_048_577)).toBe(-errno.EINVAL);
    expect(native.arenaMap(arena, 1, 0, 4096)).toBe(-errno.EINVAL);
    expect(native.arenaUnmap(arena, 1_048_576, 4096)).toBe(-errno.EINVAL);
    expect(native.arenaUnmap(new ArrayBuffer(1_048_576), 0, 4096)).toBe(-errno.EINVAL);
    expect(native.arenaMap(arena, 0, -1, 4096)).toBe(-errno.EBADF);
  });

  it('has generated files that follow from the layout descriptors', async () => {
    expect(await staleFiles()).toEqual([]);
  });
});

describe('the clock', () => {
  it('is monotonic and the one that Node reads', () => {
    const before = Number(process.hrtime.bigint());
    const first = native.now();
    const second = native.now();
    const after = Number(process.hrtime.bigint());
    expect(before <= first && first <= second && second <= after).toBe(true);
  });

  it('counts the CPU time of the process', () => {
    const start = native.cpuTime();
    // Other threads of the process count as well, so nothing is said about how long this takes.
    for (let spin = 0; spin < 1_000_000; spin++) Math.sqrt(spin);
    expect(native.cpuTime()).toBeGreaterThan(start);
  });
});

describe('the machine', () => {
  it('has pages and CPUs, and a thread can be kept to one', () => {
    const cpus = native.affinity();
    const [first] = cpus;
    if (first === undefined) throw new Error('no CPU');
    expect(native.pageSize() % 4096).toBe(0);
    expect(native.setAffinity([first])).toBe(0);
    expect(native.affinity()).toEqual([first]);
    expect(native.setAffinity(cpus)).toBe(0);
    expect(native.affinity()).toEqual(cpus);
    expect([native.setAffinity([]), native.setAffinity([100_000])]).toEqual([
      -errno.EINVAL,
      -errno.EINVAL,
    ]);
  });
});

describe('the floors', () => {
  it.each(['spinPingPong', 'futexPingPong'] as const)(
    '%s measures a round trip between two threads',
    async (name) => {
      const arena = new Arena(1_048_576);
      const [ping, pong] = [arena.address + 65_536, arena.address + 65_664];
      const source = `
      const { workerData: d } = require('node:worker_threads');
      const result = require(d.addon)[d.name](d.ping, d.pong, 1, 3000);
      if (result !== 0) throw new Error('floor: ' + result);
    `;
      const worker = new Worker(source, {
        eval: true,
        workerData: { addon: addonPath, name, ping, pong },
      });
      const ended = new Promise((resolve, reject) => {
        worker.once('exit', resolve).once('error', reject);
      });
      await watchdog(
        new Promise((resolve) => {
          worker.once('online', resolve);
        }),
        'the worker',
      );
      expect(native[name](ping, pong, 0, 3000)).toBeGreaterThan(0);
      expect(await watchdog(ended, 'the other side')).toBe(0);
    },
  );

  it('gives up on a side that stays away, and on memory that is not shared', () => {
    const arena = new Arena(1_048_576);
    expect(native.futexPingPong(arena.address, arena.address + 64, 1, 1)).toBe(-errno.ETIMEDOUT);
    expect(native.spinPingPong(0, arena.address, 0, 1)).toBe(-errno.EFAULT);
    expect(native.spinPingPong(arena.address + 1, arena.address, 0, 1)).toBe(-errno.EINVAL);
  });

  it('measures copies inside the arena only', () => {
    const arena = new Arena(1_048_576);
    expect(
      native.copyRate(arena.address, arena.address + 65_536, 64, 64, 16, 1_000),
    ).toBeGreaterThan(0);
    expect(native.copyRate(arena.address, arena.address + 65_536, 64, 65_536, 16, 1)).toBe(
      -errno.EFAULT,
    );
    expect(native.copyRate(arena.address, arena.address, 64, 2 ** 53, 2 ** 53, 1)).toBe(
      -errno.EFAULT,
    );
    expect(native.copyRate(arena.address, arena.address, 0, 0, 1, 1)).toBe(-errno.EINVAL);
  });
});
