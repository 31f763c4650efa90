// What a run leaves of itself: a digest of everything that passed between switch and provider and of all
// outcomes, equal for equal seeds on every machine; and the same as text, where somebody wants to read
// it. No address, key, handle of the kernel, process id or real time gets in.

import type { ProviderHook } from '../../provider/hooks/index.js';
import { intercepting, wrapProvider } from '../../provider/hooks/index.js';
import type { Clock } from '../../runtime/clock.js';

/** Calls whose answer is a value that may differ between machines, 0 if it failed. */
const ANSWERS_VALUE = new Set(['WSPRegisterMemory']);
/** Calls whose first parameter is an address. */
const TAKES_ADDRESS = new Set(['WSPMemoryRegistrationCacheCallback']);
const PRIME = 0x01000193;

export class Watch {
  spiCalls = 0;
  #digest = 0x811c9dc5;
  #second = 0x9dc5811c;
  readonly #clock: Clock;
  readonly #lines: string[] | null;
  readonly #names = new Map<string, number>();

  constructor(clock: Clock, keepsText: boolean) {
    this.#clock = clock;
    this.#lines = keepsText ? [] : null;
  }

  /** Sixteen hexadecimal digits. */
  get digest(): string {
    const hex = (word: number): string => (word >>> 0).toString(16).padStart(8, '0');
    return hex(this.#digest) + hex(this.#second);
  }

  get text(): string {
    return (this.#lines ?? []).join('\n');
  }

  /** Something that the simulation itself has done or seen. */
  note(what: string, first = 0, second = 0): void {
    this.#take(this.#nameOf(what), first, second);
    this.#lines?.push(`${this.#clock.now()} ${what} ${first} ${second}`);
  }

  /** Watches the provider of one host. */
  hook(host: number): ProviderHook {
    const wrapping = intercepting((site, parameters, proceed) => {
      const at = this.#clock.now();
      const returned = proceed();
      this.spiCalls++;
      const errno = parameters.at(-1) as { readonly value?: unknown } | null;
      const isValue = ANSWERS_VALUE.has(site.name);
      const hasFailed = isFailure(returned) || (isValue && returned === 0);
      const error = hasFailed && typeof errno?.value === 'number' ? errno.value : 0;
      const [first] = parameters;
      const s = typeof first === 'number' && !TAKES_ADDRESS.has(site.name) ? first : 0;
      const shown = isValue ? Number(!hasFailed) : numberOf(returned);
      this.#take(this.#nameOf(site.name) * 16 + host, s, shown ^ Math.imul(error, PRIME));
      if (this.#lines !== null) {
        const outcome = error === 0 ? `${shown}` : `error ${error}`;
        this.#lines.push(`${at} host ${host}: ${site.name}(${s}) -> ${outcome}`);
      }
      return returned;
    });
    return (inner) => wrapProvider(inner, wrapping);
  }

  #nameOf(name: string): number {
    let number = this.#names.get(name);
    if (number === undefined) {
      number = this.#names.size;
      this.#names.set(name, number);
    }
    return number;
  }

  #take(what: number, first: number, second: number): void {
    let digest = this.#digest;
    digest = Math.imul(digest ^ what, PRIME);
    digest = Math.imul(digest ^ first, PRIME);
    digest = Math.imul(digest ^ second, PRIME);
    digest = Math.imul(digest ^ ((this.#clock.now() % 2 ** 32) | 0), PRIME);
    this.#digest = digest ^ (digest >>> 15);
    this.#second = (Math.imul(this.#second, 31) + this.#digest) | 0;
  }
}

function isFailure(returned: unknown): boolean {
  return returned === -1 || returned === 0xffffffff || returned === false;
}

function numberOf(returned: unknown): number {
  return typeof returned === 'number' ? returned : Number(returned === true);
}
