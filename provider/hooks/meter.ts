// The hook that counts: calls, errors, bytes, and how long transfers take from the call to the end. The
// histogram is injected (perf_hooks.createHistogram is 17 ns a sample and no business of this layer).

import type { Clock } from '../../runtime/clock.js';
import type { WSAOVERLAPPED } from '../spi/winsock2.js';
import { WSA_IO_INCOMPLETE, WSA_IO_PENDING } from '../spi/errors.js';
import type { CallSite } from './intercept.js';
import { intercepting } from './intercept.js';
import { errorOf } from './parameters.js';
import type { ProviderHook } from './wrap.js';
import { wrapProvider } from './wrap.js';

/** What the meter needs of a histogram. Values are whole nanoseconds, at least 1. */
export interface LatencyHistogram {
  record(nanos: number): void;
}

export interface MeterOptions {
  /** Takes the latency of every transfer that was pending. Needs a clock in the environment. */
  readonly latency?: LatencyHistogram;
}

export interface MeterReading {
  /** Calls and upcalls by name. */
  readonly calls: Readonly<Record<string, number>>;
  /** Failures by code; WSA_IO_PENDING and WSA_IO_INCOMPLETE are no failures. */
  readonly errors: Readonly<Record<number, number>>;
  readonly bytesSent: number;
  readonly bytesReceived: number;
  readonly bytesWritten: number;
  readonly bytesRead: number;
}

/** A hook, and what it has counted. May be put around several providers: it adds up. */
export interface MeterHook extends ProviderHook {
  readonly reading: () => MeterReading;
}

const TRANSFERS = {
  WSPSend: 'sent',
  WSPRecv: 'received',
  WSPRdmaWrite: 'written',
  WSPRdmaRead: 'read',
};
type Direction = 'sent' | 'received' | 'written' | 'read';

interface Pending {
  readonly direction: Direction;
  readonly since: number;
}

/** Counts what passes. */
export function meter(options: MeterOptions = {}): MeterHook {
  const counter = new Counter(options.latency ?? null);
  return Object.assign(
    ((inner, environment) => {
      counter.clock = environment?.clock ?? null;
      return wrapProvider(
        inner,
        intercepting((site, parameters, proceed) => {
          // Before, because the caller may start the next operation inside the upcall.
          counter.before(site, parameters);
          const returned = proceed();
          counter.after(site, parameters, returned);
          return returned;
        }),
      );
    }) satisfies ProviderHook,
    { reading: () => counter.reading() },
  );
}

class Counter {
  clock: Clock | null = null;
  readonly #calls: Record<string, number> = {};
  readonly #errors: Record<number, number> = {};
  readonly #bytes: Record<Direction, number> = { sent: 0, received: 0, written: 0, read: 0 };
  readonly #pending = new Map<WSAOVERLAPPED, Pending>();

  constructor(private readonly latency: LatencyHistogram | null) {}

  before(site: CallSite, parameters: readonly unknown[]): void {
    this.#calls[site.name] = (this.#calls[site.name] ?? 0) + 1;
    if (site.name !== 'WPUCompleteOverlappedRequest') return;
    const [, overlapped, error, bytes] = parameters;
    this.#end(overlapped, error === 0 ? Number(bytes) : 0);
  }

  after(site: CallSite, parameters: readonly unknown[], returned: unknown): void {
    const error = errorOf(site.name, returned, parameters);
    if (error !== 0 && error !== WSA_IO_PENDING && error !== WSA_IO_INCOMPLETE) {
      this.#errors[error] = (this.#errors[error] ?? 0) + 1;
    }
    if (site.name === 'WSPGetOverlappedResult' && error !== WSA_IO_INCOMPLETE) {
      const count = parameters[2] as { readonly value: number } | null;
      this.#end(parameters[1], error === 0 ? (count?.value ?? 0) : 0);
    }
    if (site.name in TRANSFERS) this.#transfer(site.name, parameters, error);
  }

  reading(): MeterReading {
    const { sent, received, written, read } = this.#bytes;
    return {
      calls: { ...this.#calls },
      errors: { ...this.#errors },
      bytesSent: sent,
      bytesReceived: received,
      bytesWritten: written,
      bytesRead: read,
    };
  }

  #transfer(name: string, parameters: readonly unknown[], error: number): void {
    const direction = TRANSFERS[name as keyof typeof TRANSFERS] as Direction;
    const isRdma = name.startsWith('WSPRdma');
    const overlapped = parameters[isRdma ? 8 : 5] as WSAOVERLAPPED | null;
    if (overlapped === null) return;
    if (error === 0) this.#bytes[direction] += overlapped.InternalHigh;
    if (error !== WSA_IO_PENDING) return;
    this.#pending.set(overlapped, { direction, since: this.clock?.now() ?? 0 });
  }

  #end(overlapped: unknown, bytes: number): void {
    const pending = this.#pending.get(overlapped as WSAOVERLAPPED);
    if (pending === undefined) return;
    this.#pending.delete(overlapped as WSAOVERLAPPED);
    this.#bytes[pending.direction] += bytes;
    if (this.clock === null) return;
    this.latency?.record(Math.max(1, Math.round(this.clock.now() - pending.since)));
  }
}
