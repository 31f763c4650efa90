// The directory of a fabric: claiming, reclaiming after a kill, races, and whose directory it is.

import { chmodSync, mkdirSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { Arena } from '../../native/arena.js';
import { SystemError } from '../../native/errors.js';
import {
  FabricDirectory,
  FabricNameError,
  parseIPv4,
  sweepFabrics,
} from '../../native/fabric-directory.js';
import { native } from '../../native/load.js';
import { scratchDirectory, startChild } from './helpers.js';

const ADDRESS = '127.77.0.1';
const BYTES = 65_536;

const failsWith = (code: string): unknown =>
  expect.objectContaining({ constructor: SystemError, code });

function thrownBy(act: () => unknown): unknown {
  try {
    return act();
  } catch (thrown) {
    return thrown;
  }
}

describe('a fabric directory', () => {
  it('gives an address to one living owner, whom peers find, and vanishes with the last', () => {
    const base = scratchDirectory();
    const fabric = new FabricDirectory('blue', { base });
    const arena = new Arena();
    const host = fabric.claim(ADDRESS, { arena, bytes: BYTES });
    expect(fabric.path).toBe(`${base}/wsd-${process.getuid?.() ?? 0}-blue`);
    expect(readdirSync(fabric.path).sort()).toEqual([`${ADDRESS}.segment`, `${ADDRESS}.wake`]);
    expect(thrownBy(() => fabric.claim(ADDRESS, { arena, bytes: BYTES }))).toEqual(
      failsWith('EADDRINUSE'),
    );
    const second = fabric.claim('127.77.0.10', { arena, bytes: BYTES });
    expect(fabric.hosts()).toEqual([ADDRESS, '127.77.0.10']);
    const peer = fabric.open(ADDRESS, arena);
    expect(peer?.segment).toMatchObject({
      address: 0x7f4d0001,
      generation: host.segment.generation,
      isOwner: false,
    });
    host.release();
    host.release();
    expect(peer?.pipe.isAlive()).toBe(false);
    expect(fabric.open(ADDRESS, arena)).toBeNull();
    peer?.close();
    second.release();
    expect(readdirSync(base)).toEqual([]);
    expect([fabric.hosts(), fabric.sweep(), arena.windowCount]).toEqual([[], [], 0]);
  });

  it('is told apart by name, and an impossible name or address is refused', () => {
    for (const name of ['', '.hidden', 'a/b', 'x'.repeat(33), 'tab\t']) {
      expect(() => new FabricDirectory(name)).toThrow(FabricNameError);
    }
    for (const name of ['x'.repeat(32), 'A-b_c.9', '-'])
      expect(new FabricDirectory(name).fabric).toBe(name);
    const fabric = new FabricDirectory('blue', { base: scratchDirectory() });
    expect(() => fabric.claim('127.1', { arena: new Arena(), bytes: BYTES })).toThrow(RangeError);
    expect(() => parseIPv4('127.0.0.256')).toThrow(RangeError);
    expect(parseIPv4('255.0.0.1')).toBe(0xff000001);
  });

  it('that is not a private directory of this user is refused and left alone', () => {
    const base = scratchDirectory();
    const fabric = new FabricDirectory('blue', { base });
    const claim = (): unknown =>
      thrownBy(() => fabric.claim(ADDRESS, { arena: new Arena(), bytes: BYTES }));
    mkdirSync(`${base}/elsewhere`, { mode: 0o700 });
    symlinkSync(`${base}/elsewhere`, fabric.path);
    expect(claim()).toEqual(failsWith('EACCES'));
    const open = new FabricDirectory('open', { base });
    mkdirSync(open.path);
    chmodSync(open.path, 0o755);
    expect(thrownBy(() => open.sweep())).toEqual(failsWith('EACCES'));
    expect(sweepFabrics({ base })).toEqual([]);
    expect(readdirSync(base).length).toBe(3);
  });

  it('reclaims whole and half leftovers and leaves strangers alone', () => {
    const base = scratchDirectory();
    const fabric = new FabricDirectory('blue', { base });
    mkdirSync(fabric.path, { mode: 0o700 });
    writeFileSync(`${fabric.path}/127.77.0.2.segment`, 'half');
    native.pipeCreate(`${fabric.path}/127.77.0.3.wake`);
    writeFileSync(`${fabric.path}/127.77.0.4.segment`, '');
    native.pipeCreate(`${fabric.path}/127.77.0.4.wake`);
    writeFileSync(`${fabric.path}/notes.segment`, '');
    expect(fabric.hosts()).toEqual([]);
    expect(sweepFabrics({ base })).toEqual([
      'blue/127.77.0.2',
      'blue/127.77.0.3',
      'blue/127.77.0.4',
    ]);
    expect(readdirSync(fabric.path)).toEqual(['notes.segment']);
  });

  it('lets a new process take the address of one that was killed, without a manual clean-up', async () => {
    const base = scratchDirectory();
    const fabric = new FabricDirectory('blue', { base });
    const arena = new Arena();
    const child = startChild('host', [base, 'blue', ADDRESS, String(BYTES)]);
    const block = Number((await child.line()).split(' ')[1]);
    const peer = fabric.open(ADDRESS, arena);
    expect(peer?.segment.pid).toBe(child.pid);
    expect(arena.view.loadAcquire(peer?.segment.word(block) ?? 0)).toBe(0x5eed);
    expect(thrownBy(() => fabric.claim(ADDRESS, { arena, bytes: BYTES }))).toEqual(
      failsWith('EADDRINUSE'),
    );
    child.kill();
    expect(await child.ended).toBe('SIGKILL');
    expect(peer?.pipe.isAlive()).toBe(false);
    const host = fabric.claim(ADDRESS, { arena, bytes: BYTES });
    // What the dead host wrote stays readable to those who mapped it.
    expect(arena.view.loadAcquire(peer?.segment.word(block) ?? 0)).toBe(0x5eed);
    peer?.close();
    host.release();
    expect(readdirSync(base)).toEqual([]);
  });

  it('keeps its promises while several processes claim, sweep and remove it at once', async () => {
    const base = scratchDirectory();
    const args = [base, 'race', '150', '127.77.0.1,127.77.0.2'];
    const children = [0, 1, 2].map(() => startChild('claimer', args));
    await Promise.all(children.map((child) => child.line()));
    for (const child of children) child.send('go');
    const wins = await Promise.all(children.map(async (child) => Number(await child.line())));
    expect(await Promise.all(children.map((child) => child.ended))).toEqual([0, 0, 0]);
    // How the kernel shares out its time decides who; that it was somebody is ours.
    expect(Math.max(...wins)).toBeGreaterThan(0);
    expect(readdirSync(base)).toEqual([]);
  });
});
