// What passes between the switch and the provider of one scripted host, in order, waiting to be expected.

import type { ProviderHook } from '../../provider/hooks/index.js';
import { intercepting, wrapProvider } from '../../provider/hooks/index.js';
import * as spi from '../../provider/spi/index.js';
import type { Clock } from '../../runtime/clock.js';

export interface Passed {
  readonly kind: 'spi' | 'up';
  readonly call: string;
  /** `ok`, or the name of the error. */
  readonly result: string;
  readonly at: number;
  /** Counts what passes at all hosts of a run. */
  readonly order: number;
}

const FAILURES: ReadonlySet<unknown> = new Set([-1, spi.INVALID_SOCKET, false]);

export class Recorder {
  /** Not expected yet, oldest first. */
  readonly passed: Passed[] = [];
  readonly hook: ProviderHook;

  constructor(clock: Clock, nextOrder: () => number) {
    const wrapping = intercepting(({ name, isUpcall }, parameters, proceed) => {
      const at = clock.now();
      const order = nextOrder();
      const before = this.passed.length;
      const returned = proceed();
      const errno = parameters.at(-1) as spi.Ref<number> | null;
      const isError = FAILURES.has(returned) || (name === 'WSPRegisterMemory' && returned === 0);
      const error = isError ? (errno?.value ?? 0) : 0;
      // A poll that finds nothing says nothing, and how many there are is nobody's concern.
      if (error === spi.WSA_IO_INCOMPLETE) return returned;
      const result = isError ? spi.errorName(error) : 'ok';
      // In the order in which calls begin: what happens inside of one comes after it.
      const kind = isUpcall ? 'up' : 'spi';
      this.passed.splice(before, 0, { kind, call: name, result, at, order });
      return returned;
    });
    this.hook = (inner) => wrapProvider(inner, wrapping);
  }
}
