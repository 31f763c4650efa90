// What a duplicate of a shared listener is told beforehand, and what goes from one process that accepts
// to the next: as bytes, JSON first and the states of connections behind it. Nothing in it is believed
// unchecked. Source: docs/duplication.md, "Control of a listener"; DUP-12, DUP-14.

import { isCount, isName, objectOf } from './messages.js';
import { type ControlState, decodeState, encodeState } from './state.js';

const VERSION = 2;
const NEWLINE = 10;
const COMPANIONS_MAX = 100;
const ARRIVALS_MAX = 1_000;
const SOCKADDR_HEX = /^([0-9a-f]{2}){16}$/;

/** What is left for the process that a duplicate is for; see SharingServices.handover. */
export interface ListenerRecord {
  /** Whoever made the duplicate, who knows who has control. */
  readonly channel: string;
  /** Under which TCP/IP left its part of the socket. */
  readonly tcpReserved: number;
  readonly localName: string;
  readonly backlog: number;
}

/** A companion on its way. */
export interface MovedCompanion {
  readonly providerId: string;
  /** What names it at the provider, in the target process. [DUP-11] */
  readonly reserved: number;
}

/** A connection that nobody has accepted yet, on its way. */
export interface MovedArrival {
  readonly providerId: string;
  readonly localName: Uint8Array;
  readonly peerName: Uint8Array;
  readonly control: ControlState;
}

/** Control of a listener, on its way. */
export interface MovedListener {
  readonly companions: readonly MovedCompanion[];
  readonly arrivals: readonly MovedArrival[];
}

export function encodeListener(record: ListenerRecord): Uint8Array {
  return Buffer.from(JSON.stringify({ version: VERSION, ...record }));
}

export function decodeListener(bytes: Uint8Array): ListenerRecord | null {
  const found = objectOf(bytes);
  if (found === null || found['version'] !== VERSION) return null;
  const { channel, tcpReserved, localName, backlog } = found;
  if (!isName(channel) || !isCount(tcpReserved) || !isCount(backlog)) return null;
  if (!isSockaddr(localName)) return null;
  return { channel, tcpReserved, localName, backlog };
}

export function encodeMoved({ companions, arrivals }: MovedListener): Uint8Array {
  const states = arrivals.map(({ control }) => encodeState(control));
  const heads = arrivals.map(({ providerId, localName, peerName }, at) => {
    const names = [localName, peerName].map((name) => Buffer.from(name).toString('hex'));
    return { providerId, localName: names[0], peerName: names[1], length: states[at]?.length };
  });
  const head = { version: VERSION, companions, arrivals: heads };
  return Buffer.concat([Buffer.from(`${JSON.stringify(head)}\n`), ...states]);
}

/** null for anything but a listener's, as far as that can be told. */
export function decodeMoved(bytes: Uint8Array): MovedListener | null {
  const end = bytes.indexOf(NEWLINE);
  const found = end < 0 ? null : objectOf(bytes.subarray(0, end));
  if (found?.['version'] !== VERSION) return null;
  const { companions, arrivals } = found;
  if (!Array.isArray(companions) || companions.length > COMPANIONS_MAX) return null;
  if (!companions.every(isMoved)) return null;
  if (!Array.isArray(arrivals) || arrivals.length > ARRIVALS_MAX) return null;
  const decoded: MovedArrival[] = [];
  let at = end + 1;
  for (const head of arrivals as unknown[]) {
    if (!isHead(head)) return null;
    const { providerId, localName, peerName, length } = head;
    const control = decodeState(bytes.subarray(at, at + length));
    if (control === null) return null;
    at += length;
    const names = {
      localName: Buffer.from(localName, 'hex'),
      peerName: Buffer.from(peerName, 'hex'),
    };
    decoded.push({ providerId, ...names, control });
  }
  return at === bytes.length ? { companions, arrivals: decoded } : null;
}

function isMoved(value: unknown): value is MovedCompanion {
  if (typeof value !== 'object' || value === null) return false;
  const { providerId, reserved } = value as Partial<Record<keyof MovedCompanion, unknown>>;
  return typeof providerId === 'string' && isCount(reserved);
}

interface ArrivalHead {
  readonly providerId: string;
  readonly localName: string;
  readonly peerName: string;
  /** Bytes of its state. */
  readonly length: number;
}

function isHead(value: unknown): value is ArrivalHead {
  if (typeof value !== 'object' || value === null) return false;
  const head = value as Partial<Record<keyof ArrivalHead, unknown>>;
  const areNames = isSockaddr(head.localName) && isSockaddr(head.peerName);
  return areNames && typeof head.providerId === 'string' && isCount(head.length);
}

function isSockaddr(value: unknown): value is string {
  return typeof value === 'string' && SOCKADDR_HEX.test(value);
}
