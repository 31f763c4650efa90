// Addresses as text and back.

import { expect, it } from 'vitest';
import * as spi from '../../../provider/spi/index.js';
import { addressToString, stringToAddress } from '../../../provider/tcpip/address-text.js';
import { failsWith, lpErrno } from './fixture.js';

function format(name: Uint8Array, room = 64): string | number {
  const text = spi.ref('');
  const length = spi.ref(room);
  const result = addressToString(name, name.length, null, text, length, lpErrno);
  return result === 0 ? text.value : length.value;
}

function parse(text: string, family: number, room = 28): spi.Endpoint | null {
  const name = new Uint8Array(28);
  const length = spi.ref(room);
  const result = stringToAddress(text, family, null, name, length, lpErrno);
  return result === 0 ? spi.parseSockaddr(name, length.value) : null;
}

it('text has the port when there is one, and reads back [SPI-03]', () => {
  const names = {
    '127.1.2.3': spi.sockaddrIn('127.1.2.3', 0),
    '127.1.2.3:80': spi.sockaddrIn('127.1.2.3', 80),
    '::1': spi.sockaddrIn6('::1', 0),
    '[::1]:80': spi.sockaddrIn6('::1', 80),
  };
  for (const [text, name] of Object.entries(names)) {
    expect(format(name)).toBe(text);
    expect(parse(text, spi.sockaddrFamily(name))).toEqual(spi.parseSockaddr(name));
  }
});

it('a short buffer is WSAEFAULT with the room it needs; nonsense is WSAEINVAL [SPI-03]', () => {
  expect(format(spi.sockaddrIn('1.2.3.4', 0), 7)).toBe(8);
  expect(lpErrno.value).toBe(spi.WSAEFAULT);
  const text = spi.ref('');
  failsWith(
    spi.WSAEINVAL,
    addressToString(new Uint8Array(16), 16, null, text, spi.ref(9), lpErrno),
  );
  failsWith(spi.WSAEFAULT, addressToString(null, 16, null, text, spi.ref(9), lpErrno));
  for (const wrong of ['', '1.2.3', '1.2.3.4:x', '1.2.3.4:70000', '::1']) {
    expect(parse(wrong, spi.AF_INET)).toBe(null);
    expect(lpErrno.value).toBe(spi.WSAEINVAL);
  }
  expect(parse('[::1]', spi.AF_INET6)).toBe(null);
  expect(parse('1.2.3.4', 99)).toBe(null);
  expect(parse('1.2.3.4', spi.AF_INET, 15)).toBe(null);
  expect(lpErrno.value).toBe(spi.WSAEFAULT);
});
