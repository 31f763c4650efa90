// What a duplicate of a shared listener is told beforehand, and what goes from one process that accepts
// to the next: as JSON. Nothing in it is believed unchecked. Source: docs/duplication.md, "Control of a
// listener"; DUP-12, DUP-14.

import { isCount, isName, objectOf } from './messages.js';

const VERSION = 1;
const COMPANIONS_MAX = 100;
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

export function encodeListener(record: ListenerRecord): Uint8Array {
  return Buffer.from(JSON.stringify({ version: VERSION, ...record }));
}

export function decodeListener(bytes: Uint8Array): ListenerRecord | null {
  const found = objectOf(bytes);
  if (found === null || found['version'] !== VERSION) return null;
  const { channel, tcpReserved, localName, backlog } = found;
  if (!isName(channel) || !isCount(tcpReserved) || !isCount(backlog)) return null;
  if (typeof localName !== 'string' || !SOCKADDR_HEX.test(localName)) return null;
  return { channel, tcpReserved, localName, backlog };
}

export function encodeCompanions(companions: readonly MovedCompanion[]): Uint8Array {
  return Buffer.from(JSON.stringify({ version: VERSION, companions }));
}

/** null for anything but companions, as far as they can be told. */
export function decodeCompanions(bytes: Uint8Array): readonly MovedCompanion[] | null {
  const found = objectOf(bytes);
  const companions = found?.['version'] === VERSION ? found['companions'] : null;
  if (!Array.isArray(companions) || companions.length > COMPANIONS_MAX) return null;
  return companions.every(isMoved) ? companions : null;
}

function isMoved(value: unknown): value is MovedCompanion {
  if (typeof value !== 'object' || value === null) return false;
  const { providerId, reserved } = value as Partial<Record<keyof MovedCompanion, unknown>>;
  return typeof providerId === 'string' && isCount(reserved);
}
