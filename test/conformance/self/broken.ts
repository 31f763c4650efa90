// Small ways to break a provider from outside: one procedure, one extension, or the upcalls replaced, the
// rest as it is. It must not know the mutants.

import type { ServiceProvider } from '../../../provider/spi/index.js';
import type * as spi from '../../../provider/spi/index.js';
import type { Wrapping } from '../../../provider/hooks/index.js';
import { wrapProvider } from '../../../provider/hooks/index.js';

/** What is replaced; each gets the whole inner table. */
export interface Breakage {
  readonly procedures?: (inner: spi.SanProcTable) => Partial<spi.SanProcTable>;
  readonly extensions?: Partial<{
    readonly [Name in keyof spi.SanExtensions]: (
      inner: NonNullable<spi.SanExtensions[Name]>,
    ) => NonNullable<spi.SanExtensions[Name]>;
  }>;
  readonly upcalls?: (outer: spi.WSPUpcallTableEx) => Partial<spi.WSPUpcallTableEx>;
}

type Extension = Parameters<Wrapping['extension']>[1];

/** A fresh breakage for every provider, because a breakage may remember things. */
export function broken(make: () => Breakage): (inner: ServiceProvider) => ServiceProvider {
  return (inner) => {
    const { procedures, extensions, upcalls } = make();
    return wrapProvider(inner, {
      procedures: (table) => ({ ...table, ...procedures?.(table as spi.SanProcTable) }),
      extension: (name, extension) => {
        const replace = extensions?.[name] as unknown as
          | ((own: Extension) => Extension)
          | undefined;
        return replace?.(extension) ?? extension;
      },
      upcalls: (outer) => ({ ...outer, ...upcalls?.(outer) }),
    });
  };
}

/** The same object with some of its methods replaced. */
export function replacing<T extends object>(whole: T, replaced: Partial<T>): T {
  return new Proxy(whole, {
    get: (target, name) => {
      if (name in replaced) return replaced[name as keyof T];
      const member: unknown = Reflect.get(target, name, target);
      return typeof member === 'function' ? (member.bind(target) as unknown) : member;
    },
  });
}

/** A call with its lpErrno, which is the last parameter of all of them. */
type Call = (...parameters: never[]) => number;

/** The same call with one error turned into another, or into success (0). */
export function withError<F extends Call>(inner: F, from: number, to: number): F {
  const changed = (...parameters: never[]): number => {
    const returned = inner(...parameters);
    const errno = parameters.at(-1) as unknown as spi.Ref<number>;
    if (returned !== -1 || errno.value !== from) return returned;
    errno.value = to;
    return to === 0 ? 0 : returned;
  };
  return changed as unknown as F;
}

/** An overlapped whose results appear late: Internal first, the rest after it. */
export class HastyOverlapped implements spi.WSAOVERLAPPED {
  readonly #late: [field: 'InternalHigh' | 'Offset' | 'OffsetHigh', value: number][] = [];

  constructor(private readonly real: spi.WSAOVERLAPPED) {}

  get hEvent(): number {
    return this.real.hEvent;
  }

  get Internal(): number {
    return this.real.Internal;
  }

  set Internal(value: number) {
    this.real.Internal = value;
    if (value === 0x103) return;
    for (const [field, late] of this.#late.splice(0)) this.real[field] = late;
  }

  get InternalHigh(): number {
    return this.real.InternalHigh;
  }

  set InternalHigh(value: number) {
    this.#late.push(['InternalHigh', value]);
  }

  get Offset(): number {
    return this.real.Offset;
  }

  set Offset(value: number) {
    this.#late.push(['Offset', value]);
  }

  get OffsetHigh(): number {
    return this.real.OffsetHigh;
  }

  set OffsetHigh(value: number) {
    this.#late.push(['OffsetHigh', value]);
  }
}
