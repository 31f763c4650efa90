// What other people's tools print, turned into numbers: one function per tool, each of text alone, so
// that captured outputs are their tests. Throws ToolOutputError when the text is not what it should be.

/** Nanoseconds one way, bytes per nanosecond, messages a second: what a tool says of them. */
export interface ToolFigures {
  readonly latencyNanos?: number;
  readonly bytesPerNano?: number;
  readonly messagesPerSecond?: number;
}

export class ToolOutputError extends Error {
  override readonly name = 'ToolOutputError';
}

const MIB = 2 ** 20;

/**
 * fi_pingpong's table: bytes, #sent, #ack, total, time, MB/sec, usec/xfer, Mxfers/sec. A transfer is one
 * way; a MB is a million bytes.
 */
export function parseFiPingpong(text: string, bytes: number): ToolFigures {
  for (const line of text.split('\n')) {
    const cells = line.trim().split(/\s+/);
    if (cells.length !== 8 || sizeOf(cells[0] ?? '') !== bytes) continue;
    const [megabytes, micros, megaTransfers] = cells.slice(5).map(Number);
    if (micros === undefined || !Number.isFinite(micros)) continue;
    return {
      latencyNanos: micros * 1000,
      bytesPerNano: (megabytes ?? 0) / 1000,
      messagesPerSecond: (megaTransfers ?? 0) * 1e6,
    };
  }
  throw new ToolOutputError(`fi_pingpong has no line for ${bytes} bytes`);
}

/** 64, 4k, 1m, as fi_pingpong writes sizes. */
function sizeOf(text: string): number {
  const match = /^(\d+(?:\.\d+)?)([kmg]?)$/i.exec(text);
  if (match === null) return Number.NaN;
  const unit = { '': 1, k: 1024, m: MIB, g: 1024 * MIB }[(match[2] ?? '').toLowerCase()] ?? 1;
  return Number(match[1]) * unit;
}

/**
 * The last line of ucx_perftest: iterations; overhead or latency in microseconds at the 50th percentile,
 * on average so far, overall; MB/s (of 2^20) on average, overall; messages a second on average, overall.
 */
export function parseUcxPerftest(text: string): ToolFigures {
  const line = text.split('\n').findLast((one) => one.startsWith('Final:'));
  const figures = line?.split(/\s+/).slice(1).map(Number) ?? [];
  const [, typicalMicros, , , , megabytes, , messages] = figures;
  if (typicalMicros === undefined || megabytes === undefined || messages === undefined) {
    throw new ToolOutputError('ucx_perftest has no final line');
  }
  return {
    latencyNanos: typicalMicros * 1000,
    bytesPerNano: (megabytes * MIB) / 1e9,
    messagesPerSecond: messages,
  };
}

/** iperf3 --json: what the receiving side has counted. */
export function parseIperf3(text: string): ToolFigures {
  let data: unknown;
  try {
    data = JSON.parse(text);
  } catch (thrown) {
    throw new ToolOutputError('iperf3 has printed no JSON', { cause: thrown });
  }
  const found = data as {
    readonly error?: string;
    readonly end?: { readonly sum_received?: { readonly bits_per_second?: number } };
  };
  const bits = found.end?.sum_received?.bits_per_second;
  if (bits === undefined) throw new ToolOutputError(`iperf3: ${found.error ?? 'no sum_received'}`);
  return { bytesPerNano: bits / 8 / 1e9 };
}

/** sockperf ping-pong: the median if there are percentiles, the average otherwise; one way. */
export function parseSockperf(text: string): ToolFigures {
  const typical = /percentile 50\.000 =\s*([\d.]+)/.exec(text);
  const average = /Summary: Latency is ([\d.]+) usec/.exec(text);
  const micros = Number((typical ?? average)?.[1] ?? Number.NaN);
  if (!Number.isFinite(micros)) throw new ToolOutputError('sockperf has no latency');
  return { latencyNanos: micros * 1000 };
}
