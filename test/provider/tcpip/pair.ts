// Two hosts with a bound datagram socket each, for the tests of messages.

import { expect } from 'vitest';
import type * as spi from '../../../provider/spi/index.js';
import { lpErrno, onMachine } from './fixture.js';
import type { Host, Machine } from './fixture.js';
import { bound } from './messages.js';

export interface Pair {
  readonly machine: Machine;
  readonly a: Host;
  readonly b: Host;
  readonly from: { s: number; name: Uint8Array };
  readonly to: { s: number; name: Uint8Array };
}

export type WithPair = (body: (pair: Pair) => void, profile?: spi.ProfileName) => void;

/** Runs a body with `from` on a host of the address `ipA` and `to` on one of `ipB`. */
export function pairOn(ipA: string, ipB: string): WithPair {
  return (body, profile) => {
    onMachine((machine) => {
      const a = machine.host(ipA, profile);
      const b = machine.host(ipB, profile);
      body({ machine, a, b, from: bound(a), to: bound(b) });
    });
  };
}

/** The name of a port that nobody has any more. */
export function deadPort(host: Host): Uint8Array {
  const { s, name } = bound(host);
  expect(host.wsp.lpWSPCloseSocket(s, lpErrno)).toBe(0);
  return name;
}
