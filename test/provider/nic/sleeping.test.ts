// Sleeping: a side that has gone to sleep is woken by whatever is published for it, and nothing is
// published unseen. Both sides sleep between any two messages.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { HOT_QUEUE_PAIRS } from '../../../provider/nic/limits.js';
import { FAR, Machine, NEAR } from './harness/pair.js';
import { Sleeper } from './harness/sleeper.js';

const CASES = [
  { title: 'inline engines', near: 'inline', far: 'inline', connections: 1, messages: 5000 },
  {
    title: 'a worker and an inline engine',
    near: 'worker',
    far: 'inline',
    connections: 1,
    messages: 2000,
  },
  {
    title: 'more connections than are polled',
    near: 'inline',
    far: 'inline',
    connections: 2 * HOT_QUEUE_PAIRS + 3,
    messages: 2000,
  },
] as const;

it.each(CASES)(
  '$messages round trips between sleepers lose no wake-up: $title',
  async ({ near, far, connections, messages }) => {
    const machine = new Machine();
    const file = fileURLToPath(new URL('./children/echo.ts', import.meta.url));
    const options = JSON.stringify(machine.options(FAR, far));
    const args = ['--import', 'tsx', file, options, String(connections), String(messages)];
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
    try {
      const ended = once(child, 'close');
      await Promise.race([once(child.stdout, 'data'), ended]);
      const sleeper = await Sleeper.open(machine.options(NEAR, near));
      const queuePairs = Array.from({ length: connections }, (_, index) => {
        const queuePair = sleeper.queuePair();
        for (let posted = 0; posted < 4; posted++) sleeper.post('receive', queuePair);
        queuePair.connect(FAR, 80, index, new Uint8Array(0));
        expect(sleeper.event().type).toBe('established');
        return queuePair;
      });
      for (let index = 0; index < messages; index++) {
        const queuePair = queuePairs[index % connections];
        if (queuePair === undefined) throw new Error('no queue pair');
        sleeper.post('send', queuePair);
        expect(sleeper.message()).toBe(queuePair.slot);
        sleeper.post('receive', queuePair);
      }
      expect(sleeper.sleeps).toBeGreaterThan(0);
      await sleeper.close();
      expect(await ended).toEqual([0, null]);
      expect(machine.files()).toEqual([]);
    } finally {
      if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL');
      machine.close();
    }
  },
);
