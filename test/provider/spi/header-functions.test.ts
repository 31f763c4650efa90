// Every function of ws2spi.h and ws2san.h that crosses the line between switch and provider has a type
// here with the header's parameters, by name and in order; every other name of the two headers is
// stated, or left out for a reason. The parameters were taken once from the public mingw-w64 headers.

import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import * as spi from '../../../provider/spi/index.js';

const tableUrl = new URL('../../data/header-functions.json', import.meta.url);
const header = JSON.parse(readFileSync(tableUrl, 'utf8')) as Readonly<Record<string, string>>;

const sources = ['ws2spi-functions', 'ws2san', 'upcalls'].map((name) =>
  readFileSync(new URL(`../../../provider/spi/${name}.ts`, import.meta.url), 'utf8'),
);

/** Why a function has no type, or one with other parameters. */
const EXCEPTIONS: Readonly<Record<string, string>> = {
  LPWSPSTARTUP: 'a provider starts by WSPStartupEx here, whoever calls it (SPI-03)',
  LPFN_WSPRDMAREAD: 'one type with WSPRdmaWrite, under the parameter names of that',
};

/** Constants of the two headers that provider/spi does without. */
const CONSTANTS_LEFT_OUT = /^(LSP_|WSPAPI$|WSCEnum|LPFN_WSCENUM)/;
const CONSTANTS = [
  'WSPDESCRIPTION_LEN',
  'WSS_OPERATION_IN_PROGRESS',
  'LSP_SYSTEM',
  'LSP_LOCAL_CACHE',
  'SO_MAX_RDMA_SIZE',
  'SO_RDMA_THRESHOLD_SIZE',
  'MEM_READ',
  'MEM_WRITE',
  'MEM_READWRITE',
  'WSAID_REGISTERMEMORY',
  'WSAID_DEREGISTERMEMORY',
  'WSAID_REGISTERRDMAMEMORY',
  'WSAID_DEREGISTERRDMAMEMORY',
  'WSAID_RDMAWRITE',
  'WSAID_RDMAREAD',
  'WSAID_MEMORYREGISTRATIONCACHECALLBACK',
];

function parameterNames(list: string): string {
  return [...list.matchAll(/(\w+)\s*:/g)].map((match) => match[1]).join(' ');
}

/** What the type files say: name of the C type to names of the parameters. */
function stated(): Map<string, string> {
  const types = new Map<string, string>();
  const aliases: [string, string][] = [];
  for (const text of sources) {
    for (const [, name, list] of text.matchAll(/type (LP\w+) = \(([^)]*)\)\s*=>/g)) {
      types.set(name ?? '', parameterNames(list ?? ''));
    }
    for (const [, name, other] of text.matchAll(/type (LP\w+) = (LP\w+);/g)) {
      aliases.push([name ?? '', other ?? '']);
    }
    for (const [, name, list] of text.matchAll(/^ {2}lp(WPU\w+)\(([^)]*)\):/gm)) {
      types.set(`LP${(name ?? '').toUpperCase()}`, parameterNames(list ?? ''));
    }
  }
  for (const [name, other] of aliases) types.set(name, types.get(other) ?? '');
  return types;
}

describe('the functions of ws2spi.h and ws2san.h', () => {
  it('have types with the parameters of the header, in its order [SPI-01 SPI-05 UPC-01 EXT-01]', () => {
    const types = stated();
    expect(Object.keys(header)).toHaveLength(55);
    const wrong = Object.entries(header).filter(
      ([name, parameters]) => !(name in EXCEPTIONS) && types.get(name) !== parameters,
    );
    expect(wrong.map(([name, wanted]) => [name, wanted, types.get(name)])).toEqual([]);
  });

  it('are each an entry of a table, an extension, or named as an exception', () => {
    const slots = [
      ...spi.PROC_TABLE_SLOTS,
      ...spi.UPCALL_TABLE_EX_SLOTS,
      ...spi.SAN_EXTENSIONS.map(({ name }) => `lpfn_${name}`),
    ].map((slot) => slot.toUpperCase());
    const outside = Object.keys(header).filter((name) => !slots.includes(name));
    expect(outside).toEqual(['LPWSPSTARTUP', 'LPWSPSTARTUPEX']);
  });

  it('come with every constant and structure that goes with them [OPT-10 EXT-06]', () => {
    const missing = CONSTANTS.filter((name) => !CONSTANTS_LEFT_OUT.test(name) && !(name in spi));
    expect(missing).toEqual([]);
    const layouts = spi.STRUCT_LAYOUTS.map(({ name }) => name);
    const structures = ['WSPDATA', 'WSATHREADID', 'WSPPROC_TABLE', 'WSPUPCALLTABLE'];
    expect(layouts).toEqual(
      expect.arrayContaining([...structures, 'WSPUPCALLTABLEEX', 'WSABUFEX']),
    );
  });
});
