// What two SAN providers tell each other about duplication, in the private data of the NIC's connection
// requests and replies: which connection this is, and that it can be handed over. The connecting side
// draws the identity; whoever names it later is one of the two ends, or got it from one. Bytes that
// are none of ours mean a provider that does not hand connections over. Knows no socket.
// Source: docs/duplication.md; DUP-15, DUP-18.

import { randomFillSync } from 'node:crypto';

/** "WSDu" in front, so that another provider's private data is not taken for ours. */
const MAGIC = [0x57, 0x53, 0x44, 0x75];
const VERSION = 1;
const PURPOSE_BYTE = 5;
const IDENTITY_BYTE = 8;
const IDENTITY_BYTES = 16;
const INTRODUCTION_BYTES = IDENTITY_BYTE + IDENTITY_BYTES;
const IDENTITY_TEXT = /^[0-9a-f]{32}$/;
const DIGIT_0 = 0x30;
const LETTER_A = 0x61;

/** What a request or a reply is for. */
export const Purpose = {
  /** A new connection: the requester's name for it, and the acceptor's consent to it. */
  CONNECT: 1,
  /** To go on with a connection in place of the host that it was with. */
  RESUME: 2,
  /** To have the requests of a listener that was handed over. */
  LISTEN: 3,
} as const;
export type Purpose = (typeof Purpose)[keyof typeof Purpose];

export const NO_PRIVATE_DATA = new Uint8Array(0);

const IDENTITIES_AT_ONCE = 64;
/** One identity on its way to being text. */
const spelled = Buffer.alloc(IDENTITY_BYTES);
/** Bytes for identities to come: a draw costs more than all else of one. */
let drawn = Buffer.alloc(0);
let used = 0;

/** 128 bits of the system's generator, as text. Nobody guesses one. */
export function newIdentity(): string {
  if (used === drawn.length) {
    drawn = randomFillSync(Buffer.alloc(IDENTITY_BYTES * IDENTITIES_AT_ONCE));
    used = 0;
  }
  used += IDENTITY_BYTES;
  return drawn.toString('hex', used - IDENTITY_BYTES, used);
}

export function isIdentity(text: string): boolean {
  return IDENTITY_TEXT.test(text);
}

/** The private data that names a connection. */
export function introduction(purpose: Purpose, identity: string): Uint8Array {
  const bytes = new Uint8Array(INTRODUCTION_BYTES);
  for (let at = 0; at < MAGIC.length; at++) bytes[at] = MAGIC[at] as number;
  bytes[MAGIC.length] = VERSION;
  bytes[PURPOSE_BYTE] = purpose;
  for (let at = 0; at < IDENTITY_BYTES; at++) {
    const high = digit(identity.charCodeAt(2 * at));
    bytes[IDENTITY_BYTE + at] = (high << 4) | digit(identity.charCodeAt(2 * at + 1));
  }
  return bytes;
}

/** What a hexadecimal digit of an identity stands for. */
function digit(code: number): number {
  return code < LETTER_A ? code - DIGIT_0 : code - LETTER_A + 10;
}

/** The connection that the private data names for this purpose; null when it names none. */
export function introduced(purpose: Purpose, bytes: Uint8Array): string | null {
  if (bytes.length !== INTRODUCTION_BYTES) return null;
  for (let at = 0; at < MAGIC.length; at++) if (bytes[at] !== MAGIC[at]) return null;
  if (bytes[MAGIC.length] !== VERSION || bytes[PURPOSE_BYTE] !== purpose) return null;
  for (let at = 0; at < IDENTITY_BYTES; at++) spelled[at] = bytes[IDENTITY_BYTE + at] as number;
  return spelled.toString('hex');
}
