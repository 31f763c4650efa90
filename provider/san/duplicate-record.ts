// What the old process leaves for the new one: everything that makes the new socket look as the old one
// did. Text, because two processes of different builds may meet; nothing in it is believed unchecked.
// Knows no NIC and no file. Source: docs/duplication.md; DUP-11, DUP-15.

import { isIdentity } from './duplicate-identity.js';

/** Addresses and ports are numbers in host order. */
export interface HandoverRecord {
  readonly localAddress: number;
  readonly localPort: number;
  readonly remoteAddress: number;
  readonly remotePort: number;
  /** The NIC at the other end, which is not remoteAddress once the peer has moved. */
  readonly peerAddress: number;
  readonly identity: string;
  readonly debug: boolean;
}

const VERSION = 1;
const ADDRESSES = ['localAddress', 'remoteAddress', 'peerAddress'] as const;
const PORTS = ['localPort', 'remotePort'] as const;

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
  const isWithin = (name: string, most: number): boolean => {
    const value = fields[name];
    return Number.isInteger(value) && (value as number) >= 0 && (value as number) <= most;
  };
  const isGood =
    fields['version'] === VERSION &&
    ADDRESSES.every((name) => isWithin(name, 0xffffffff)) &&
    PORTS.every((name) => isWithin(name, 0xffff)) &&
    typeof fields['identity'] === 'string' &&
    isIdentity(fields['identity']) &&
    typeof fields['debug'] === 'boolean';
  return isGood ? (found as HandoverRecord) : null;
}
