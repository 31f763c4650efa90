// The hook that disturbs: chosen calls fail before they reach the provider, and completions are told
// later than they happen, or of fewer bytes than were moved. What is chosen follows from a seed. The
// first two are legal (OVL-14, the error tables); a short completion is not, and shows who believes it.

import { Prng } from '../../runtime/prng.js';
import type { Agent } from '../../runtime/progress.js';
import { failureValue, type ProcTableSlot } from '../spi/base-provider.js';
import type { ProviderEnvironment } from '../spi/provider.js';
import type { Ref } from '../spi/winsock2.js';
import { PROC_TABLE_SLOTS } from '../spi/ws2spi.js';
import type { CallSite } from './intercept.js';
import { intercepting } from './intercept.js';
import type { ProviderHook } from './wrap.js';
import { wrapProvider } from './wrap.js';

/** What happens to some of the calls of one name. The first rule that is chosen holds. */
export type FaultRule = {
  /** WSPSend, WSPRegisterMemory, WPUCreateSocketHandle. */
  readonly call: string;
  /** Chosen in `chance[0]` of `chance[1]` calls. */
  readonly chance: readonly [number, number];
  /** Holds for so many calls that were chosen, and then no more. Default: for all. */
  readonly times?: number;
} & (
  | { readonly kind: 'fail'; readonly error: number }
  /** For completion upcalls and WPUSetEvent: held back for so many calls or turns. */
  | { readonly kind: 'delay'; readonly turns: number }
  /** For completion upcalls: tells half of the bytes. */
  | { readonly kind: 'short' }
);

export interface FaultOptions {
  readonly seed: number;
  readonly rules: readonly FaultRule[];
  /** Told whenever a rule is carried out. */
  readonly told?: (rule: FaultRule) => void;
}

/** A hook, and what it has done. Wraps one provider. */
export interface FaultHook extends ProviderHook {
  /** How often each rule was carried out, in the order of the rules. */
  readonly counts: () => readonly number[];
}

interface Held {
  turns: number;
  readonly deliver: () => unknown;
}

/** Disturbs a provider by rule and seed. */
export function faults(options: FaultOptions): FaultHook {
  const random = new Prng(options.seed);
  const { rules } = options;
  const counts = new Map<FaultRule, number>();
  const delays = new Delays();
  // Most calls have no rule, and a simulation makes many calls.
  const chosen = (site: CallSite): FaultRule | null => {
    for (const rule of rules) {
      if (rule.call !== site.name) continue;
      const count = counts.get(rule) ?? 0;
      if (rule.times !== undefined && count >= rule.times) continue;
      if (!random.chance(rule.chance[0], rule.chance[1])) continue;
      counts.set(rule, count + 1);
      options.told?.(rule);
      return rule;
    }
    return null;
  };
  const wrapping = intercepting((site, parameters, proceed) => {
    if (!site.isUpcall) delays.turn();
    const rule = chosen(site);
    switch (rule?.kind) {
      case 'fail':
        return failed(site, parameters, rule.error);
      case 'delay':
        if (!isNotification(site)) return proceed();
        return delays.hold(rule.turns, proceed, site.name === 'WPUSetEvent' ? true : 0);
      case 'short':
        if (typeof parameters[3] === 'number') parameters[3] >>>= 1;
        return proceed();
      default:
        // The handle's end comes after everything that was held back for it. [CLOSE-03]
        if (site.name === 'WPUCloseSocketHandle' || site.name === 'WSPCleanup') delays.flush();
        return proceed();
    }
  });
  const start: CallSite = { name: 'WSPStartupEx', isUpcall: false };
  return Object.assign(
    ((inner, environment) => {
      delays.startOn(environment ?? null);
      const wrapped = wrapProvider(inner, wrapping);
      return {
        ...wrapped,
        // It returns its error itself. [STARTUP-02]
        WSPStartupEx: (...parameters) => {
          const rule = chosen(start);
          return rule?.kind === 'fail' ? rule.error : wrapped.WSPStartupEx(...parameters);
        },
      };
    }) satisfies ProviderHook,
    { counts: () => rules.map((rule) => counts.get(rule) ?? 0) },
  );
}

function isNotification({ name }: CallSite): boolean {
  return name === 'WPUCompleteOverlappedRequest' || name === 'WPUSetEvent';
}

function failed(site: CallSite, parameters: readonly unknown[], error: number): unknown {
  const errno = parameters.at(-1) as Ref<number>;
  errno.value = error;
  if (site.name === 'WSPRegisterMemory') return 0;
  if (site.name === 'WPUCreateSocketHandle') return 0xffffffff;
  const slot = PROC_TABLE_SLOTS.find((one) => one.slice(2) === site.name);
  if (slot !== undefined) return failureValue(slot satisfies ProcTableSlot);
  return /^WPU.*Event$/.test(site.name) ? false : -1;
}

/** Upcalls that wait. They come in the order in which their time is over. */
class Delays {
  #held: Held[] = [];
  #isStarted = false;

  /** Calls are turns; with a progress loop its turns are too, so that nothing waits for ever. */
  startOn(environment: ProviderEnvironment | null): void {
    if (environment === null || this.#isStarted) return;
    this.#isStarted = true;
    const agent: Agent = { role: 'delayed upcalls', doWork: () => this.turn() };
    environment.progress.add(agent);
  }

  hold(turns: number, deliver: () => unknown, returned: unknown): unknown {
    this.#held.push({ turns, deliver });
    return returned;
  }

  /** Returns how many upcalls still wait: the loop must not sleep over them. */
  turn(): number {
    if (this.#held.length === 0) return 0;
    for (const one of this.#held) one.turns--;
    const due = this.#held.filter(({ turns }) => turns <= 0);
    this.#held = this.#held.filter(({ turns }) => turns > 0);
    for (const { deliver } of due) deliver();
    return due.length + this.#held.length;
  }

  flush(): void {
    const due = this.#held;
    this.#held = [];
    for (const { deliver } of due) deliver();
  }
}
