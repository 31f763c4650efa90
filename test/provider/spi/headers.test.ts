// provider/spi against the public mingw-w64 headers: every constant, size, offset, slot and GUID.
// The table is made by scripts/winsock-headers/generate.mjs and committed; this only compares.

import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import * as spi from '../../../provider/spi/index.js';

interface HeaderTable {
  readonly source: string;
  readonly constants: Readonly<Record<string, number>>;
  readonly structs: Readonly<
    Record<string, { readonly sizeof: number; readonly offsetof: Readonly<Record<string, number>> }>
  >;
  readonly slots: Readonly<Record<string, readonly string[]>>;
  readonly guids: Readonly<Record<string, string>>;
  readonly controlMessages: Readonly<Record<string, number>>;
}

const tableUrl = new URL('../../data/winsock-headers.json', import.meta.url);
const table = JSON.parse(readFileSync(tableUrl, 'utf8')) as HeaderTable;

/** Constants of provider/spi that no header has, or has with another value, and why. */
const EXCEPTIONS: Readonly<Record<string, string>> = {
  INVALID_SOCKET: 'all ones of 64 bits in the header, of 32 here: handles are exact numbers',
  GUID_BYTES: 'ours: the size of a GUID',
  SOCKADDR_IN_BYTES: 'ours: checked as the size of SOCKADDR_IN',
  SOCKADDR_IN6_BYTES: 'ours: checked as the size of SOCKADDR_IN6',
  SOCKADDR_STORAGE_BYTES: 'ours: checked as the size of SOCKADDR_STORAGE',
  EXTENSION_FUNCTION_POINTER_BYTES: 'ours: the size of a pointer',
  POINTER_BYTES: 'ours: the size of a pointer',
  CMSG_ALIGNMENT: 'ours: the alignment behind WSA_CMSG_SPACE, checked through it',
  WSP_VERSION_2_2: 'ours: MAKEWORD(2, 2)',
  TCP_KEEPIDLE: 'of newer headers: in the ws2ipdef.h of Windows 10',
  TCP_KEEPCNT: 'of newer headers: in the ws2ipdef.h of Windows 10',
  TCP_KEEPINTVL: 'of newer headers: in the ws2ipdef.h of Windows 10',
};

const numbers = (Object.entries(spi) as [string, unknown][]).filter(
  (entry): entry is [string, number] => typeof entry[1] === 'number',
);

/** A C int and an unsigned number of the same 32 bits are one constant. */
const bits = (value: number | undefined): number | undefined =>
  value === undefined ? undefined : value >>> 0;

/** The constants that one clause lists, by the pattern of their names, and how many there are. */
const GROUPS: readonly [title: string, pattern: RegExp, count: number][] = [
  ['transfer flags are those of the header [W2.2]', /^MSG_/, 12],
  ['wait results and limits are those of the header [W2.3]', /^WSA_(MAX|WAIT|INF|INVALID_EV)/, 7],
  ['network events are those of the header [W2.4 DATA-03]', /^FD_(?!SETSIZE)/, 22],
  ['socket flags are those of the header [W2.5]', /^WSA_FLAG_/, 8],
  ['directions and verdicts are those of the header [W2.6]', /^(SD_|CF_|SOMAXCONN|FD_SETSIZE)/, 8],
  ['families and types are those of the header [W2.7]', /^(AF_|SOCK_)/, 8],
  ['socket options are those of the header [W2.8 OPT-10]', /^(SOL_|SO_)/, 34],
  ['IP options are those of the header [W2.9]', /^IP(V6)?_/, 10],
  ['control codes are those of the header [W2.10]', /^(IOC|FIO|SIO)/, 27],
  ['completion modes are those of the header [W2.11]', /^FILE_SKIP_/, 2],
  ['service flags are those of the header [W2.12 DATA-05]', /^XP1_/, 20],
  ['provider flags are those of the header [W2.12 DATA-04]', /^PFL_/, 4],
  ['registration rights are those of the header [W2.17 EXT-05]', /^MEM_/, 3],
];

function differing(constants: readonly (readonly [string, number])[]): unknown[] {
  const wrong = constants.filter(([name, value]) => bits(table.constants[name]) !== bits(value));
  return wrong.map(([name, value]) => [name, value, table.constants[name]]);
}

describe('provider/spi and the Windows headers', () => {
  it('the header table is a full one', () => {
    expect(table.source).toMatch(/^mingw-w64 \d/);
    expect(Object.keys(table.constants).length).toBeGreaterThan(500);
    expect(Object.keys(table.structs).length).toBeGreaterThan(20);
    expect(Object.keys(table.guids).length).toBeGreaterThan(10);
  });

  it('every constant has the value of the header, or a named reason [DATA-06 DATA-07]', () => {
    const compared = numbers.filter(([name]) => !(name in EXCEPTIONS));
    expect(compared.length).toBeGreaterThan(250);
    expect(differing(compared)).toEqual([]);
  });

  it.each(GROUPS)('%s', (_title, pattern, count) => {
    const group = numbers.filter(([name]) => pattern.test(name));
    expect(group.map(([name]) => name)).toHaveLength(count);
    expect(differing(group)).toEqual([]);
  });

  it('no exception is kept that is not needed', () => {
    const exported = new Map(numbers);
    const stale = Object.keys(EXCEPTIONS).filter(
      (name) => !exported.has(name) || table.constants[name] === exported.get(name),
    );
    expect(stale).toEqual([]);
  });

  it('INVALID_SOCKET is all ones and SOCKET_ERROR is -1 [W2.1]', () => {
    expect(table.constants['INVALID_SOCKET']).toBe(-1);
    expect(spi.INVALID_SOCKET).toBe(0xffffffff);
    expect(spi.SOCKET_ERROR).toBe(table.constants['SOCKET_ERROR']);
  });

  it('every NTSTATUS has the value of ntstatus.h [W1.4]', () => {
    for (const [name, value] of Object.entries(spi.NTSTATUS)) {
      expect([name, bits(table.constants[name])]).toEqual([name, value]);
    }
  });

  it('structures have the sizes and offsets of the compiler [W2.13 EXT-06 DATA-01 DATA-02]', () => {
    expect(spi.STRUCT_LAYOUTS.map((one) => one.name).sort()).toEqual(
      Object.keys(table.structs).sort(),
    );
    for (const layout of spi.STRUCT_LAYOUTS) {
      const header = table.structs[layout.name];
      expect([layout.name, layout.bytes]).toEqual([layout.name, header?.sizeof]);
      const shared = Object.entries(layout.offsets).filter(
        ([field]) => field in (header?.offsetof ?? {}),
      );
      expect(shared.length, layout.name).toBeGreaterThan(0);
      for (const [field, offset] of shared) {
        expect([layout.name, field, offset]).toEqual([layout.name, field, header?.offsetof[field]]);
      }
    }
  });

  it('the byte sizes of addresses are those of their structures [W2.13]', () => {
    expect(spi.SOCKADDR_IN_BYTES).toBe(table.structs['SOCKADDR_IN']?.sizeof);
    expect(spi.SOCKADDR_IN6_BYTES).toBe(table.structs['SOCKADDR_IN6']?.sizeof);
    expect(spi.SOCKADDR_STORAGE_BYTES).toBe(table.structs['SOCKADDR_STORAGE']?.sizeof);
    expect(spi.GUID_BYTES).toBe(table.structs['GUID']?.sizeof);
  });

  it('the procedure table has the 30 slots of the header in its order [SPI-05 W2.13]', () => {
    expect(spi.PROC_TABLE_SLOTS).toEqual(table.slots['WSPPROC_TABLE']);
    expect(spi.PROC_TABLE_SLOTS).toHaveLength(30);
    expect(table.structs['WSPPROC_TABLE']?.sizeof).toBe(30 * spi.POINTER_BYTES);
  });

  it('the upcall tables have 15 and 16 slots, the last one SAN only [UPC-01 UPC-02 W2.15]', () => {
    expect(spi.UPCALL_TABLE_SLOTS).toEqual(table.slots['WSPUPCALLTABLE']);
    expect(spi.UPCALL_TABLE_EX_SLOTS).toEqual(table.slots['WSPUPCALLTABLEEX']);
    expect(spi.UPCALL_TABLE_SLOTS).toHaveLength(15);
    expect(spi.UPCALL_TABLE_EX_SLOTS.at(-1)).toBe('lpWPUCompleteOverlappedRequest');
  });

  it('every extension GUID is that of the header [W2.16 EXT-04]', () => {
    const stated = (Object.entries(spi) as [string, unknown][]).filter(([name]) =>
      name.startsWith('WSAID_'),
    );
    expect(Object.fromEntries(stated)).toEqual(table.guids);
  });

  it('control messages are measured as the header macros do [W2.14]', () => {
    for (const bytes of [4, 8, 20]) {
      expect(spi.CMSG_LEN(bytes)).toBe(table.controlMessages[`CMSG_LEN(${bytes})`]);
      expect(spi.CMSG_SPACE(bytes)).toBe(table.controlMessages[`CMSG_SPACE(${bytes})`]);
    }
  });
});
