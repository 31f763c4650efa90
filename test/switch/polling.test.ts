// What else of the thread moves while an application polls for one operation: decision 120.

import { expect, it } from 'vitest';
import * as spi from '../../provider/spi/index.js';
import type { Agent } from '../../runtime/progress.js';
import { connectPair, World } from './fakes/world.js';

it('polls in vain give everything else its turn, more rarely while it has nothing to do', () => {
  const world = new World();
  const { client } = connectPair(world);
  const { winsock } = world.a;
  const bytes = spi.ref(0);
  const flags = spi.ref(0);
  const overlapped = spi.createOverlapped();
  const buffers = [{ len: 8, buf: new Uint8Array(8) }];
  winsock.WSARecv(client, buffers, 1, null, flags, overlapped, null);
  let turns = 0;
  let work = 0;
  const agent: Agent = {
    role: 'counter',
    doWork: (): number => {
      turns++;
      return work;
    },
  };
  /** Polls until the next turn: how many. */
  const polls = (): number => {
    const before = turns;
    for (let count = 1; ; count++) {
      expect(winsock.WSAGetOverlappedResult(client, overlapped, bytes, false, flags)).toBe(false);
      expect(winsock.WSAGetLastError()).toBe(spi.WSA_IO_INCOMPLETE);
      if (turns > before) return count;
      if (count > 1_000) throw new Error('no turn');
    }
  };
  world.progress.add(agent);
  work = 1;
  polls();
  work = 0;
  expect([polls(), polls(), polls(), polls(), polls()]).toEqual([32, 64, 128, 256, 256]);
  work = 1;
  expect([polls(), polls(), polls()]).toEqual([256, 32, 32]);
  world.progress.remove(agent);
  world.close();
});
