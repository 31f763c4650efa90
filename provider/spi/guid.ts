// GUIDs between text and the 16 bytes of a C GUID structure. Windows stores the first three groups
// in little-endian and the rest in order, so the bytes are not those of RFC 4122. Knows no names.

const GUID_PATTERN = /^([0-9a-f]{8})-([0-9a-f]{4})-([0-9a-f]{4})-([0-9a-f]{4})-([0-9a-f]{12})$/i;

export const GUID_BYTES = 16;

/** Where the byte of each pair of digits goes, in the order in which the text writes them. */
const BYTE_ORDER = [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15] as const;

const HEX = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'));
const GROUP_ENDS: readonly number[] = [4, 6, 8, 10];

/**
 * The 16 bytes of `text`, with or without braces, in any case. Throws RangeError for anything else:
 * GUID text is written by programmers, never read from a peer.
 */
export function guidBytes(text: string): Uint8Array {
  const bare = text.startsWith('{') && text.endsWith('}') ? text.slice(1, -1) : text;
  if (!GUID_PATTERN.test(bare)) throw new RangeError(`not a GUID: ${text}`);
  const digits = bare.replaceAll('-', '');
  const bytes = new Uint8Array(GUID_BYTES);
  BYTE_ORDER.forEach((target, index) => {
    bytes[target] = Number.parseInt(digits.slice(2 * index, 2 * index + 2), 16);
  });
  return bytes;
}

/** The text of the first 16 of `bytes`: lower case, no braces. null when there are fewer. */
export function guidText(bytes: Uint8Array): string | null {
  if (bytes.length < GUID_BYTES) return null;
  let text = '';
  for (const [index, source] of BYTE_ORDER.entries()) {
    if (GROUP_ENDS.includes(index)) text += '-';
    text += HEX[bytes[source] ?? 0] ?? '';
  }
  return text;
}

/** Whether `bytes` begin with the GUID `text` names. */
export function isGuid(bytes: Uint8Array, text: string): boolean {
  return guidText(bytes) === guidText(guidBytes(text));
}
