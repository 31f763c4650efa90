// Connected processes with nothing to do give their cores back: their threads sleep in the kernel and
// wake up for the first byte.

import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import * as spi from '../../provider/spi/index.js';
import { Child } from './child.js';
import * as fixture from './fixture.js';
import { A, B, ENGINES } from './fixture.js';

/** The kernel counts processor time in hundredths of a second. */
const TICK_MS = 10;
const WINDOW_MS = 300;
/** A fifth of a core. A spinning thread uses all it can get, window after window. */
const IDLE_TICKS_MAX = WINDOW_MS / TICK_MS / 5;

/** Processor time of all threads of a process so far, in ticks. */
function ticksOf(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return Number(fields[11]) + Number(fields[12]);
}

/** How often the threads of a process have gone to sleep of their own accord. */
function sleepsOf(pid: number): number {
  const counts = readdirSync(`/proc/${pid}/task`).map((thread) => {
    const status = readFileSync(`/proc/${pid}/task/${thread}/status`, 'utf8');
    return Number(/^voluntary_ctxt_switches:\s*(\d+)/m.exec(status)?.[1] ?? 0);
  });
  return counts.reduce((sum, count) => sum + count, 0);
}

/** Whether the first thread, the one that waits, sleeps in the kernel. */
function isAsleep(pid: number): boolean {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  return stat.slice(stat.lastIndexOf(')') + 2).startsWith('S');
}

/** Watches window by window until the process was idle in one. Returns the ticks of that one. */
async function idleWindow(pid: number): Promise<number> {
  let used = Infinity;
  let from = ticksOf(pid);
  let since = performance.now();
  await fixture.until(() => {
    if (performance.now() - since < WINDOW_MS) return false;
    used = ticksOf(pid) - from;
    from += used;
    since = performance.now();
    return used <= IDLE_TICKS_MAX && isAsleep(pid);
  }, `process ${pid} to become idle`);
  return used;
}

describe.each(ENGINES)('connected over the %s engine', (engine) => {
  it('a process in a wait and one in its event loop sleep, and wake up for a byte', async () => {
    const fabric = fixture.newFabric();
    const a = await fixture.open({ fabric, address: A, engine });
    const addresses = [B, '127.77.0.3'];
    const children = await Promise.all(
      (['wait', 'promise'] as const).map(async (style, index) => {
        const address = addresses[index] ?? B;
        const child = new Child('idle', { fabric, address, engine, style });
        const { port } = await child.said<{ port: number }>();
        const socket = fixture.connect(a, address, port);
        await child.said();
        return { child, socket };
      }),
    );
    const used = await Promise.all(children.map(({ child }) => idleWindow(child.pid)));
    for (const { child } of children) expect(sleepsOf(child.pid)).toBeGreaterThan(0);
    console.log(`${engine}: ticks used while idle for ${WINDOW_MS} ms: ${used.join(' and ')}`);

    const { winsock } = a;
    for (const { socket } of children) {
      const byte = Buffer.of(41);
      fixture.must(winsock, 'send', winsock.send(socket, byte, 1, 0));
      expect(fixture.must(winsock, 'recv', winsock.recv(socket, byte, 1, 0))).toBe(1);
      expect(byte[0]).toBe(42);
      winsock.shutdown(socket, spi.SD_SEND);
      winsock.closesocket(socket);
    }
    await fixture.closeClean(a);
    for (const { child } of children) {
      expect(await child.said()).toMatchObject({ count: 1, usage: fixture.UNUSED });
      expect(await child.ended).toBe(0);
    }
  });
});
