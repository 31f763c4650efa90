// Holds: memory stays at its address although its ArrayBuffer is gone, until the hold ends.

import { Worker } from 'node:worker_threads';
import { describe, expect, it } from 'vitest';
import { errno } from '../../native/errors.js';
import { native } from '../../native/load.js';
import { addonPath } from './addon-path.js';
import { startChild, watchdog } from './helpers.js';

const BYTES = 16_777_216;

describe('held memory', () => {
  it('outlives its transferred and collected buffer, is freed by the release, and nothing piles up', async () => {
    const child = startChild('holds', [], { nodeArguments: ['--expose-gc'] });
    const report = JSON.parse(await child.line()) as Record<string, unknown>;
    expect(report).toMatchObject({
      whileHeld: 1,
      isIntact: true,
      released: 0,
      freed: BYTES,
      again: -errno.EINVAL,
    });
    // Ten rounds of 20 MB each; the sanitizer keeps freed memory for a while.
    expect(report['residentMib']).toBeLessThan(native.sanitized() === 1 ? 400 : 100);
    expect(await child.ended).toBe(0);
  });

  it('is counted by holds, each with a handle of its own', () => {
    const buffer = new ArrayBuffer(64);
    const [first, second] = [native.hold(buffer), native.hold(buffer)];
    expect(Math.min(first, second)).toBeGreaterThan(0);
    expect(first).not.toBe(second);
    expect([native.release(first), native.release(first)]).toEqual([0, -errno.EINVAL]);
    expect(native.release(second)).toBe(0);
    expect([native.release(0), native.release(2 ** 50)]).toEqual([-errno.EINVAL, -errno.EINVAL]);
  });

  it('is neither empty, nor detached, nor resizable, nor shared', () => {
    const detached = new ArrayBuffer(64);
    structuredClone(detached, { transfer: [detached] });
    const Resizable = ArrayBuffer as unknown as new (
      bytes: number,
      options: { maxByteLength: number },
    ) => ArrayBuffer;
    const wrong = [new ArrayBuffer(0), detached, new Resizable(64, { maxByteLength: 128 })];
    expect(wrong.map((buffer) => native.hold(buffer))).toEqual(wrong.map(() => -errno.EINVAL));
    // eslint-disable-next-line no-restricted-globals -- the binding must refuse one, so one is given
    for (const other of [new SharedArrayBuffer(64), new Uint8Array(64), null]) {
      expect(() => native.hold(other as never)).toThrow(
        'hold: argument 1 must be an ArrayBuffer that is not shared',
      );
    }
  });

  it('may be let go by another thread, and the rest is with the end of its own', async () => {
    const source = `
      const { workerData, parentPort } = require('node:worker_threads');
      const native = require(workerData);
      const buffer = new ArrayBuffer(64);
      parentPort.postMessage([native.hold(buffer), native.hold(buffer)]);
      parentPort.once('message', () => {});
    `;
    const worker = new Worker(source, { eval: true, workerData: addonPath });
    const [first, second] = await watchdog(
      new Promise<[number, number]>((resolve, reject) => {
        worker.once('message', resolve).once('error', reject);
      }),
      'the handles',
    );
    expect(native.release(first)).toBe(0);
    const ended = new Promise((resolve) => worker.once('exit', resolve));
    worker.postMessage('end');
    expect(await watchdog(ended, 'the end of the worker')).toBe(0);
    expect(native.release(second)).toBe(-errno.EINVAL);
  });
});
