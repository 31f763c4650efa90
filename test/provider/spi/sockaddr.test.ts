// Socket addresses, address lists and GUIDs between values and bytes, including bytes that lie.

import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import * as spi from '../../../provider/spi/index.js';

// A fixed seed: the same cases everywhere. fast-check prints it with the path of a counterexample.
const options = { seed: 20061, numRuns: 500 };

const port = fc.integer({ min: 0, max: 0xffff });
const uint32 = fc.integer({ min: 0, max: 0xffffffff });
const bytes16 = fc.uint8Array({ minLength: 16, maxLength: 16 });
/** Groups with many zeros, so that runs of them are met. */
const zeroRichBytes16 = fc
  .array(fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 0xffff })), {
    minLength: 8,
    maxLength: 8,
  })
  .map((groups) => Uint8Array.from(groups.flatMap((group) => [group >> 8, group & 255])));

describe('sockaddr', () => {
  it('sockaddr_in has a little-endian family, the rest big-endian [W2.13]', () => {
    const expected = [2, 0, 0x1f, 0x90, 127, 77, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0];
    expect([...spi.sockaddrIn('127.77.0.1', 8080)]).toEqual(expected);
  });

  it('IPv4 endpoints survive the way to bytes and back', () => {
    fc.assert(
      fc.property(uint32, port, (address, number) => {
        const bytes = spi.sockaddrIn(address, number);
        const ip = spi.ipv4Text(address);
        expect(spi.parseSockaddr(bytes)).toEqual({ family: spi.AF_INET, ip, port: number });
        expect(spi.sockaddrInAddress(bytes)).toBe(address);
        expect(spi.sockaddrPort(bytes)).toBe(number);
        expect(spi.ipv4Number(ip)).toBe(address);
        expect(spi.sockaddrIn(ip, number)).toEqual(bytes);
      }),
      options,
    );
  });

  it('IPv6 endpoints survive the way to bytes and back', () => {
    fc.assert(
      fc.property(
        fc.oneof(bytes16, zeroRichBytes16),
        port,
        uint32,
        uint32,
        (raw, number, flowInfo, scopeId) => {
          const ip = spi.ipv6Text(raw);
          const bytes = spi.sockaddrIn6(ip, number, { flowInfo, scopeId });
          expect([...bytes.subarray(8, 24)]).toEqual([...raw]);
          expect(spi.parseSockaddr(bytes)).toEqual({
            family: spi.AF_INET6,
            ip,
            port: number,
            flowInfo,
            scopeId,
          });
        },
      ),
      options,
    );
  });

  it.each([
    ['::', '::'],
    ['::1', '::1'],
    ['1::', '1::'],
    ['2001:DB8:0:0:1:0:0:1', '2001:db8::1:0:0:1'],
    ['1:0:2:3:4:5:6:7', '1:0:2:3:4:5:6:7'],
    ['::ffff:127.0.0.1', '::ffff:7f00:1'],
    ['1:2:3:4:5:6:7::', '1:2:3:4:5:6:7:0'],
  ])('IPv6 text %s is written %s', (text, canonical) => {
    const bytes = spi.ipv6Bytes(text);
    expect(bytes).not.toBeNull();
    expect(spi.ipv6Text(bytes ?? new Uint8Array())).toBe(canonical);
  });

  it.each([
    '',
    ':',
    ':::',
    '1',
    '1::2::3',
    '1:2:3:4:5:6:7',
    '1:2:3:4:5:6:7:8:9',
    '1:2:3:4::5:6:7:8',
    '12345::',
    '::1%eth0',
    '1.2.3.4::',
    '::1.2.3',
    ' ::1',
    ':1::',
    '1:',
  ])('IPv6 text %j is refused', (text) => {
    expect(spi.ipv6Bytes(text)).toBeNull();
    expect(() => spi.sockaddrIn6(text, 1)).toThrow(RangeError);
  });

  it.each([
    '',
    '1.2.3',
    '1.2.3.4.5',
    '256.0.0.1',
    '01.2.3.4',
    '1.2.3.4 ',
    '0x7f.0.0.1',
    '1..2.3',
    '-1.2.3.4',
  ])('IPv4 text %j is refused', (text) => {
    expect(spi.ipv4Number(text)).toBeNull();
    expect(() => spi.sockaddrIn(text, 1)).toThrow(RangeError);
  });

  it.each([-1, 65536, 1.5, Number.NaN])('port %d is refused', (number) => {
    expect(() => spi.sockaddrIn('127.0.0.1', number)).toThrow(RangeError);
  });

  it('any bytes at all are an endpoint or null, never an exception', () => {
    const anyLength = fc.oneof(fc.integer({ min: -8, max: 200 }), fc.constant(Number.NaN));
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), anyLength, (bytes, length) => {
        const endpoint = spi.parseSockaddr(bytes, length);
        const available = Math.min(length, bytes.length);
        if (!(available >= 16)) expect(endpoint).toBeNull();
      }),
      options,
    );
  });

  it('a short address and one of another family are null', () => {
    expect(spi.parseSockaddr(spi.sockaddrIn('1.2.3.4', 5).subarray(0, 15))).toBeNull();
    expect(spi.parseSockaddr(spi.sockaddrIn('1.2.3.4', 5), 15)).toBeNull();
    expect(spi.parseSockaddr(spi.sockaddrIn6('::1', 5).subarray(0, 27))).toBeNull();
    const native = spi.sockaddrIn('1.2.3.4', 5);
    native[0] = 27;
    expect(spi.parseSockaddr(native)).toBeNull();
  });

  it('a larger buffer is read by its address alone', () => {
    const buffer = new Uint8Array(spi.SOCKADDR_STORAGE_BYTES).fill(0xee);
    buffer.set(spi.sockaddrIn('10.0.0.1', 80));
    expect(spi.parseSockaddr(buffer)).toEqual({ family: spi.AF_INET, ip: '10.0.0.1', port: 80 });
  });
});

describe('address list', () => {
  const sockaddrs = [
    spi.sockaddrIn('127.77.0.1', 0),
    spi.sockaddrIn6('::1', 0),
    spi.sockaddrIn('127.78.0.1', 0),
  ];

  it('is a count, an array of 16-byte entries, and the addresses [IOC-02 W2.13 W11.7]', () => {
    const bytes = new Uint8Array(spi.addressListLength(sockaddrs));
    expect(bytes.length).toBe(8 + 3 * 16 + 16 + 32 + 16);
    expect(spi.writeAddressList(sockaddrs, bytes)).toBe(bytes.length);
    expect(new DataView(bytes.buffer).getInt32(0, true)).toBe(3);
    expect(spi.parseAddressList(bytes)).toEqual(sockaddrs.map((one) => spi.parseSockaddr(one)));
  });

  it('an ioctl with too little room tells the needed length [IOCTL-04 W11.7]', () => {
    const needed = spi.addressListLength(sockaddrs);
    const lpErrno = spi.ref(0);
    const returned = spi.ref(0);
    const output = new Uint8Array(needed).fill(0xee);
    const answer = (room: number): number =>
      spi.answerAddressList(sockaddrs, output, room, returned, lpErrno);
    expect(answer(needed - 1)).toBe(spi.SOCKET_ERROR);
    expect([lpErrno.value, returned.value]).toEqual([spi.WSAEFAULT, needed]);
    expect(output.every((byte) => byte === 0xee)).toBe(true);
    expect(spi.answerAddressList(sockaddrs, null, 0, returned, lpErrno)).toBe(spi.SOCKET_ERROR);
    lpErrno.value = 0;
    expect(answer(needed)).toBe(0);
    expect([lpErrno.value, returned.value]).toEqual([0, needed]);
  });

  it('an empty list is a list', () => {
    const bytes = new Uint8Array(spi.addressListLength([]));
    expect(spi.writeAddressList([], bytes)).toBe(8);
    expect(spi.parseAddressList(bytes)).toEqual([]);
  });

  it('any bytes at all are a list or null, never an exception', () => {
    const bytes = new Uint8Array(spi.addressListLength(sockaddrs));
    spi.writeAddressList(sockaddrs, bytes);
    const damage = fc.array(fc.tuple(fc.nat(bytes.length - 1), fc.nat(255)), { maxLength: 6 });
    fc.assert(
      fc.property(damage, fc.nat(bytes.length), (edits, length) => {
        const copy = bytes.slice();
        for (const [index, value] of edits) copy[index] = value;
        const list = spi.parseAddressList(copy, length);
        if (list !== null) expect(8 + 16 * list.length).toBeLessThanOrEqual(length);
      }),
      options,
    );
  });
});

describe('control messages', () => {
  const pktinfo = {
    level: spi.IPPROTO_IP,
    type: spi.IP_PKTINFO,
    data: Uint8Array.of(127, 0, 0, 1, 1, 0, 0, 0),
  };
  const ttl = { level: spi.IPPROTO_IP, type: spi.IP_TTL, data: Uint8Array.of(64, 0, 0, 0) };

  it('follow one another at 8-byte boundaries and are read back [W2.14]', () => {
    const control = new Uint8Array(64).fill(0xee);
    const second = spi.writeControlMessage(control, 0, ttl) ?? -1;
    const end = spi.writeControlMessage(control, second, pktinfo) ?? -1;
    expect([second, end]).toEqual([24, 48]);
    expect(control[0]).toBe(20);
    expect(spi.readControlMessages(control, end)).toEqual([ttl, pktinfo]);
    expect(spi.readControlMessages(control, 0)).toEqual([]);
  });

  it('one that does not fit is not written', () => {
    const control = new Uint8Array(23).fill(0xee);
    expect(spi.writeControlMessage(control, 0, ttl)).toBeNull();
    expect(control.every((byte) => byte === 0xee)).toBe(true);
  });

  it('any bytes at all are messages or null, never an exception', () => {
    const small = fc.oneof(
      fc.constant(0),
      fc.integer({ min: 0, max: 40 }),
      fc.integer({ min: 0, max: 255 }),
    );
    fc.assert(
      fc.property(
        fc.array(small, { maxLength: 80 }),
        fc.integer({ min: -1, max: 100 }),
        (bytes, length) => {
          const messages = spi.readControlMessages(Uint8Array.from(bytes), length) ?? [];
          const read = messages.reduce((sum, one) => sum + 16 + one.data.length, 0);
          expect(read).toBeLessThanOrEqual(Math.max(0, Math.min(length, bytes.length)));
        },
      ),
      options,
    );
  });
});

describe('GUID', () => {
  it('text becomes the mixed-endian bytes of the structure [W2.13 W2.16]', () => {
    const expected = [
      0xf5, 0x22, 0xb4, 0xc0, 0x8c, 0xf5, 0xd1, 0x11, 0xad, 0x6c, 0, 0xc0, 0x4f, 0xa3, 0x4a, 0x2d,
    ];
    expect([...spi.guidBytes('{C0B422F5-F58C-11d1-AD6C-00C04FA34A2D}')]).toEqual(expected);
    expect(spi.isGuid(Uint8Array.from(expected), spi.WSAID_REGISTERMEMORY)).toBe(true);
    expect(spi.isGuid(Uint8Array.from(expected), spi.WSAID_RDMAREAD)).toBe(false);
  });

  it('bytes survive the way to text and back', () => {
    fc.assert(
      fc.property(bytes16, (bytes) => {
        const text = spi.guidText(bytes) ?? '';
        expect(spi.guidBytes(text)).toEqual(bytes);
        expect(spi.guidBytes(`{${text.toUpperCase()}}`)).toEqual(bytes);
      }),
      options,
    );
  });

  it('too few bytes and malformed text are refused', () => {
    expect(spi.guidText(new Uint8Array(15))).toBeNull();
    expect(spi.isGuid(new Uint8Array(3), spi.WSAID_RDMAREAD)).toBe(false);
    const malformed = [
      '',
      'c0b422f5',
      '{c0b422f5-f58c-11d1-ad6c-00c04fa34a2d',
      'g0b422f5-f58c-11d1-ad6c-00c04fa34a2d',
    ];
    for (const text of malformed) expect(() => spi.guidBytes(text)).toThrow(RangeError);
  });
});
