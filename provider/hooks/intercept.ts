// One function around every call and upcall, for hooks that treat them all alike: trace, faults, meter.
// Not for hot paths: parameters travel as arrays. Sources: UPC-01, SPI-05.

import type { SanExtensions } from '../spi/ws2san.js';
import type { WSPProcTable, WSPUpcallTableEx } from '../spi/ws2spi.js';
import { PROC_TABLE_SLOTS, UPCALL_TABLE_EX_SLOTS } from '../spi/ws2spi.js';
import type { Wrapping } from './wrap.js';

/** A function of the contract by its name: WSPSend, WSPRdmaRead, WPUSetEvent. */
export interface CallSite {
  readonly name: string;
  /** Made by the provider to the switch. */
  readonly isUpcall: boolean;
}

/**
 * Stands in for a call: makes it with `proceed`, or does not, and returns what the caller gets.
 * `parameters` may be changed before proceeding; the last one is lpErrno where the call has one.
 */
export type Interceptor = (
  site: CallSite,
  parameters: unknown[],
  proceed: () => unknown,
) => unknown;

type AnyFunction = (...parameters: unknown[]) => unknown;

/** A wrapping that sends everything through one interceptor. */
export function intercepting(interceptor: Interceptor): Wrapping {
  const around = (name: string, isUpcall: boolean, inner: AnyFunction): AnyFunction => {
    const site = { name, isUpcall };
    return (...parameters) => interceptor(site, parameters, () => inner(...parameters));
  };
  return {
    procedures: (inner) => {
      const table = { ...inner } as Record<keyof WSPProcTable, AnyFunction | null>;
      for (const slot of PROC_TABLE_SLOTS) {
        const procedure = table[slot];
        table[slot] = procedure === null ? null : around(slot.slice(2), false, procedure);
      }
      return table as unknown as WSPProcTable;
    },
    extension: (name: keyof SanExtensions, inner) => around(name, false, inner as AnyFunction),
    upcalls: (outer) => {
      const table = outer as unknown as Readonly<Record<string, AnyFunction>>;
      const wrapped: Record<string, AnyFunction> = {};
      for (const slot of UPCALL_TABLE_EX_SLOTS) {
        const upcall: AnyFunction = (...parameters) => table[slot]?.(...parameters);
        wrapped[slot] = around(slot.slice(2), true, upcall);
      }
      return wrapped as unknown as WSPUpcallTableEx;
    },
  };
}
