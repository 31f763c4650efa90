// The error vocabulary: complete, consistent, and mapped to and from NTSTATUS as W1.4 says.

import { describe, expect, it } from 'vitest';
import * as spi from '../../../provider/spi/index.js';

const { NTSTATUS } = spi;

/** The numbers of W1.2 and W1.3, ranges written out by hand from the text, not from the source. */
const SPECIFIED: readonly number[] = [
  ...[6, 8, 87, 995, 996, 997, 10004, 10009, 10013, 10014, 10022, 10024],
  ...range(10035, 10071),
  ...range(10091, 10093),
  ...range(10101, 10112),
  ...range(11001, 11031),
  ...[50, 64, 121, 234, 258, 735, 998, 1168, 1225, 1234, 1236],
];

function range(first: number, last: number): number[] {
  return Array.from({ length: last - first + 1 }, (_, index) => first + index);
}

describe('error table', () => {
  it('has every specified number, and no other [DATA-06 W1.2 W1.3]', () => {
    expect(spi.WSA_ERRORS.map((entry) => entry.code)).toEqual(SPECIFIED.toSorted((a, b) => a - b));
  });

  it('names each number once and says one thing about it', () => {
    const names = spi.WSA_ERRORS.map((entry) => entry.name);
    expect(new Set(names).size).toBe(names.length);
    for (const entry of spi.WSA_ERRORS) {
      expect(spi.errorName(entry.code)).toBe(entry.name);
      expect(spi.errorText(entry.code)).toBe(entry.text);
      expect(entry.text).toMatch(/^[A-Z].*\.$/);
    }
  });

  it('answers for numbers it does not know', () => {
    expect(spi.errorName(0)).toBe('NO_ERROR');
    expect(spi.errorName(424242)).toBe('424242');
    expect(spi.errorText(424242)).toContain('424242');
  });

  it('a WsaError carries number, name, call and cause', () => {
    const cause = new Error('inner');
    const error = new spi.WsaError(spi.WSAENOBUFS, { call: 'WSPSend', cause });
    expect(error).toMatchObject({ code: 10055, codeName: 'WSAENOBUFS', call: 'WSPSend', cause });
    expect(error.message).toContain('WSPSend: WSAENOBUFS (10055)');
    expect(Object.hasOwn(new spi.WsaError(1, { call: 'x' }), 'cause')).toBe(false);
    expect(spi.isWsaError(error)).toBe(true);
    expect(spi.isWsaError(error, spi.WSAENOBUFS)).toBe(true);
    expect(spi.isWsaError(error, spi.WSAEINVAL)).toBe(false);
    expect(spi.isWsaError(cause)).toBe(false);
  });
});

describe('NTSTATUS', () => {
  it.each([
    ['STATUS_SUCCESS', 0],
    ['STATUS_PENDING', spi.WSA_IO_INCOMPLETE],
    ['STATUS_BUFFER_OVERFLOW', spi.WSAEMSGSIZE],
    ['STATUS_CANCELLED', spi.WSA_OPERATION_ABORTED],
    ['STATUS_PORT_UNREACHABLE', spi.WSAECONNRESET],
    ['STATUS_LOCAL_DISCONNECT', spi.WSAECONNABORTED],
    ['STATUS_REMOTE_DISCONNECT', spi.WSAECONNRESET],
    ['STATUS_GRACEFUL_DISCONNECT', spi.WSAEDISCON],
    ['STATUS_PIPE_DISCONNECTED', spi.WSAESHUTDOWN],
    ['STATUS_DEVICE_NOT_READY', spi.WSAEWOULDBLOCK],
    ['STATUS_INVALID_HANDLE', spi.WSAENOTSOCK],
    ['STATUS_REQUEST_ABORTED', spi.WSAEINTR],
    ['STATUS_COMMITMENT_LIMIT', spi.WSAENOBUFS],
    ['STATUS_NETWORK_BUSY', spi.WSAENETDOWN],
  ] as const)('%s becomes %i [W1.4]', (name, error) => {
    expect(spi.wsaErrorOfStatus(NTSTATUS[name])).toBe(error);
  });

  it('a status outside the table is WSAEINVAL if it is an error, otherwise success [W1.4]', () => {
    expect(spi.wsaErrorOfStatus(0xc0001234)).toBe(spi.WSAEINVAL);
    expect(spi.wsaErrorOfStatus(0xc0001234 | 0)).toBe(spi.WSAEINVAL);
    expect(spi.wsaErrorOfStatus(0x40000001)).toBe(0);
  });

  it('the in-progress marker of an SPI operation is STATUS_PENDING [OVL-09 DATA-07]', () => {
    expect(spi.WSS_OPERATION_IN_PROGRESS).toBe(NTSTATUS.STATUS_PENDING);
  });

  it('an error stored as a status is read back as the same error [W1.4]', () => {
    const mapped = new Set(Object.values(NTSTATUS).map((status) => spi.wsaErrorOfStatus(status)));
    expect(mapped.size).toBeGreaterThan(20);
    for (const error of mapped)
      expect(spi.wsaErrorOfStatus(spi.statusOfWsaError(error))).toBe(error);
    expect(spi.wsaErrorOfStatus(spi.statusOfWsaError(spi.WSAEDQUOT))).toBe(spi.WSAEINVAL);
  });

  it('a reset is stored as STATUS_CONNECTION_RESET [W1.5]', () => {
    expect(spi.statusOfWsaError(spi.WSAECONNRESET)).toBe(NTSTATUS.STATUS_CONNECTION_RESET);
  });
});
