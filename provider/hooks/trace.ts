// The hook that remembers: the last calls and upcalls as a sequence that people read, or as JSON lines.
// Equal polls in a row are one entry with a count. It changes nothing. Source: design, "wrappers".

import type { Clock } from '../../runtime/clock.js';
import { intercepting } from './intercept.js';
import type { Shown } from './parameters.js';
import { errorOf, OverlappedNames, resultText, shownParameters } from './parameters.js';
import type { ProviderHook } from './wrap.js';
import { wrapProvider } from './wrap.js';

/** One call or upcall. Plain data: one JSON line. */
export interface TraceEvent {
  /** Counts up; a gap in what is kept shows what was forgotten. */
  readonly sequence: number;
  /** Nanoseconds of the environment's clock at the beginning; 0 without a clock. */
  readonly at: number;
  /** How many calls it is inside of. */
  readonly depth: number;
  readonly call: string;
  readonly parameters: Readonly<Record<string, Shown>>;
  /** Empty while the call has not returned, which is how one that throws or hangs looks. */
  result: string;
  /** 0, or the error. */
  error: number;
  /** How many equal ones in a row this stands for. */
  times: number;
}

export interface TraceOptions {
  /** How many events are kept. Default 64. */
  readonly limit?: number;
  /** Gets every event when it is over, for JSON lines; polls are not merged there. */
  readonly sink?: (event: TraceEvent) => void;
}

/** A hook, and what it remembers. Wraps one provider. */
export interface TraceHook extends ProviderHook {
  /** Oldest first. */
  readonly events: () => readonly TraceEvent[];
  /** The same as sentences. */
  readonly lines: () => readonly string[];
  readonly clear: () => void;
}

const DEFAULT_LIMIT = 64;

/** A trace of the provider that it is put around. */
export function trace(options: TraceOptions = {}): TraceHook {
  const { limit = DEFAULT_LIMIT, sink } = options;
  let events: TraceEvent[] = [];
  let sequence = 0;
  let depth = 0;
  let clock: Clock | null = null;
  const names = new OverlappedNames();
  const remember = (event: TraceEvent): void => {
    events.push(event);
    if (events.length >= 2 * limit) events = events.slice(-limit);
  };
  const wrapping = intercepting((site, parameters, proceed) => {
    const event: TraceEvent = {
      sequence: ++sequence,
      at: clock?.now() ?? 0,
      depth,
      call: site.name,
      parameters: shownParameters(site.name, parameters, names),
      result: '',
      error: 0,
      times: 1,
    };
    remember(event);
    depth++;
    try {
      const returned = proceed();
      event.error = errorOf(site.name, returned, parameters);
      event.result = resultText(site.name, returned, event.error);
      return returned;
    } finally {
      depth--;
      sink?.(event);
      if (events.at(-1) === event && isSame(events.at(-2), event)) {
        events.pop();
        (events.at(-1) as TraceEvent).times++;
      }
    }
  });
  return Object.assign(
    ((inner, environment) => {
      clock = environment?.clock ?? null;
      return wrapProvider(inner, wrapping);
    }) satisfies ProviderHook,
    {
      events: () => events.slice(-limit),
      lines: () => events.slice(-limit).map(lineOf),
      clear: () => {
        events = [];
      },
    },
  );
}

/** `WSPSend(s=7, lpBuffers=[64], dwFlags=0, lpOverlapped=ov3 hEvent=9) -> WSA_IO_PENDING` */
function lineOf({ call, parameters, result, depth, times }: TraceEvent): string {
  const shown = Object.entries(parameters).map(([name, value]) => `${name}=${String(value)}`);
  const repeated = times > 1 ? ` (${times} times)` : '';
  const outcome = result === '' ? 'did not return' : result;
  return `${'  '.repeat(depth)}${call}(${shown.join(', ')}) -> ${outcome}${repeated}`;
}

function isSame(before: TraceEvent | undefined, event: TraceEvent): boolean {
  if (before?.call !== event.call || before.depth !== event.depth) return false;
  if (before.result !== event.result) return false;
  return JSON.stringify(before.parameters) === JSON.stringify(event.parameters);
}
