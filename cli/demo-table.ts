// The demonstration's table: the SAN path with either NIC engine, kernel TCP, and the floors, all with
// the same two processes. The full comparison, repeated and with its limits, is `wsd bench`.

import type { ConnectionPlan } from '../bench/connection.js';
import type { PeerProcess } from '../bench/peer-process.js';
import { formatValue } from '../bench/report.js';
import { measureCopy, measureFloor } from '../bench/floors.js';
import { measureLatency, measureStream } from '../bench/tasks.js';
import { measureTcpLatency, measureTcpStream } from '../bench/tcp.js';
import type { HostPlans } from './host-arguments.js';

const SMALL_BYTES = 64;
const LARGE_BYTES = 1 << 20;
const BATCH = 100;
/** A latency measurement ends early after this. */
const BUDGET_NANOS = 1e9;
/** Engines in threads of their own and TCP are slower where cores are few. */
const SLOW_SHARE = 20;

/** Rows of text. Throws what the measures throw; `signal` ends it between two of them. */
export async function demoTable(
  peer: PeerProcess,
  plans: HostPlans,
  isQuick: boolean,
  signal: AbortSignal,
): Promise<string[][]> {
  const rounds = isQuick ? 5_000 : 50_000;
  const count = isQuick ? 64 : 512;
  const rows = [['', `${SMALL_BYTES} B, half round trip`, '1 MiB messages']];
  const add = async (
    title: string,
    latency: () => Promise<{ value: number }>,
    bandwidth: () => Promise<{ value: number }>,
  ): Promise<void> => {
    signal.throwIfAborted();
    const { value: nanos } = await latency();
    signal.throwIfAborted();
    const { value: rate } = await bandwidth();
    rows.push([title, formatValue(nanos, 'ns'), formatValue(rate, 'GB/s')]);
  };
  for (const engine of ['inline', 'worker'] as const) {
    const isSlow = engine === 'worker';
    const plan = (slotBytes: number): ConnectionPlan => ({
      level: 'app',
      host: { ...plans.host, engine },
      peerHost: { ...plans.peerHost, engine },
      slotBytes,
    });
    const batches = Math.ceil(rounds / BATCH / (isSlow ? SLOW_SHARE : 1));
    const pingPong = {
      bytes: SMALL_BYTES,
      batch: BATCH,
      batches,
      warmup: (batches * BATCH) / 4,
      budgetNanos: BUDGET_NANOS,
    };
    await add(
      `SAN, NIC ${isSlow ? 'in worker threads' : 'inline'}`,
      () => measureLatency(peer, { ...plan(SMALL_BYTES), pingPong }),
      () => measureStream(peer, { ...plan(LARGE_BYTES), bytes: LARGE_BYTES, count }),
    );
  }
  await add(
    'kernel TCP on loopback (node:net)',
    () => measureTcpLatency(peer, { bytes: SMALL_BYTES, rounds: rounds / SLOW_SHARE }),
    () => measureTcpStream(peer, { bytes: LARGE_BYTES, count }),
  );
  await add(
    'floor: C++ spinning, memory copy',
    () => measureFloor(peer, { kind: 'spin', rounds, bursts: 1 }),
    async () => measureCopy(peer.floors, LARGE_BYTES),
  );
  return rows;
}
