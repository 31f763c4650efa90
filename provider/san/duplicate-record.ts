// What the old process leaves for the new one: everything that makes the new socket look as the old one
// did. Text, because two processes of different builds may meet; nothing in it is believed unchecked.
// Knows no NIC and no file. Source: docs/duplication.md; DUP-11, DUP-14, DUP-15.

import { isIdentity } from './duplicate-identity.js';

interface CommonRecord {
  /** As bound; 0 is every NIC. Addresses and ports are numbers in host order. */
  readonly localAddress: number;
  readonly localPort: number;
  readonly identity: string;
  readonly debug: boolean;
}

export interface ConnectionRecord extends CommonRecord {
  readonly kind: 'connection';
  readonly remoteAddress: number;
  readonly remotePort: number;
  /** The NIC at the other end, which is not remoteAddress once the peer has moved. */
  readonly peerAddress: number;
}

export interface ListenerRecord extends CommonRecord {
  readonly kind: 'listener';
  /** The NIC that requests come to at first. */
  readonly serviceAddress: number;
  /** The NIC that has them until somebody takes this record. */
  readonly holderAddress: number;
  readonly backlog: number;
}

export type HandoverRecord = ConnectionRecord | ListenerRecord;

const VERSION = 2;
/** The numbers of each kind and the most that each may be. */
const COMMON = { localAddress: 0xffffffff, localPort: 0xffff };
const NUMBERS: Readonly<Record<HandoverRecord['kind'], Readonly<Record<string, number>>>> = {
  connection: {
    ...COMMON,
    remoteAddress: 0xffffffff,
    remotePort: 0xffff,
    peerAddress: 0xffffffff,
  },
  listener: {
    ...COMMON,
    serviceAddress: 0xffffffff,
    holderAddress: 0xffffffff,
    backlog: 0xffff,
  },
};

export function encodeRecord(record: HandoverRecord): Uint8Array {
  return new TextEncoder().encode(JSON.stringify({ version: VERSION, ...record }));
}

/** null for anything but a record of this version. */
export function decodeRecord(bytes: Uint8Array): HandoverRecord | null {
  let found: unknown;
  try {
    found = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch {
    return null;
  }
  if (typeof found !== 'object' || found === null) return null;
  const fields = found as Readonly<Record<string, unknown>>;
  const { version, kind, identity, debug } = fields;
  if (version !== VERSION || (kind !== 'connection' && kind !== 'listener')) return null;
  const areWithin = Object.entries(NUMBERS[kind]).every(([name, most]) => {
    const value = fields[name];
    return Number.isInteger(value) && (value as number) >= 0 && (value as number) <= most;
  });
  const isGood =
    areWithin && typeof identity === 'string' && isIdentity(identity) && typeof debug === 'boolean';
  return isGood ? (found as HandoverRecord) : null;
}
