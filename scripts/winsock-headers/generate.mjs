#!/usr/bin/env node
// Writes test/data/winsock-headers.json: what mingw-w64's headers say about the constants, layouts,
// slot orders and GUIDs that provider/spi states. Opt-in: the table is committed, and only its
// maintainer needs the cross compiler (Debian: gcc-mingw-w64-x86-64, mingw-w64-x86-64-dev).
// Nothing is run on Windows: the compiler prints each value into its assembler output.
// Usage: node scripts/winsock-headers/generate.mjs [compiler]

import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { GUIDS, HEADER_PREFIXES, PRELUDE, SLOT_TABLES, STRUCTS } from './wanted.mjs';

const compiler = process.argv[2] ?? 'x86_64-w64-mingw32-gcc';
const root = fileURLToPath(new URL('../..', import.meta.url));

/** Runs the compiler on `source`; `flags` choose the kind of output. */
function compile(source, flags) {
  const result = spawnSync(compiler, [...flags, '-x', 'c', '-w', '-o', '-', '-'], {
    input: source,
    encoding: 'utf8',
    maxBuffer: 1 << 28,
  });
  if (result.error) throw new Error(`cannot run ${compiler}`, { cause: result.error });
  return { failed: result.status !== 0, output: result.stdout, errors: result.stderr };
}

function mustCompile(source, flags) {
  const result = compile(source, flags);
  if (result.failed) throw new Error(`${compiler} failed:\n${result.errors}`);
  return result.output;
}

/**
 * The values of integer expressions, by key. An expression that does not compile, or is no
 * constant, is left out: the headers decide what exists.
 */
function evaluate(expressions) {
  let pending = Object.entries(expressions);
  for (;;) {
    const lines = pending.map(([key, text]) => printing(key, `((long long)(${text}))`));
    const head = `${PRELUDE}\nvoid values(void) {\n#line 1 "values"\n`;
    const { failed, output, errors } = compile(`${head}${lines.join('\n')}\n}\n`, ['-S', '-O1']);
    if (!failed) return Object.fromEntries([...output.matchAll(PRINTED)].map(keyAndNumber));
    const bad = new Set(
      [...errors.matchAll(/^values:(\d+):.*error/gm)].map((match) => Number(match[1])),
    );
    if (bad.size === 0) throw new Error(`${compiler} failed:\n${errors}`);
    pending = pending.filter((_, index) => !bad.has(index + 1));
  }
}

const PRINTED = /^@@ (\S+) (-?\d+) (\d+) (\d+)/gm;

/** Prints a 64-bit value in three parts, since an immediate operand holds 32 bits, signed. */
function printing(key, value) {
  const parts = `"i"(${value} >> 32), "i"((${value} >> 16) & 0xffff), "i"(${value} & 0xffff)`;
  return `__asm__ volatile("\\n@@ ${key} %c0 %c1 %c2" :: ${parts});`;
}

function keyAndNumber([, key, high, middle, low]) {
  return [key, Number(high) * 2 ** 32 + Number(middle) * 2 ** 16 + Number(low)];
}

/** Every macro of the headers with a known prefix, and every other name in provider/spi. */
function constantNames() {
  const macros = mustCompile(PRELUDE, ['-E', '-dM']).matchAll(/^#define ([A-Z]\w*) \S/gm);
  const fromHeaders = [...macros]
    .map((match) => match[1])
    .filter((name) => HEADER_PREFIXES.test(name));
  const folder = `${root}provider/spi/`;
  const sources = readdirSync(folder).map((file) => readFileSync(folder + file, 'utf8'));
  const stated = sources.flatMap((text) => {
    const matches = text.matchAll(
      /^(?:export const |  )([A-Z][A-Z0-9]*_\w*|[A-Z]{3}\w*)(?: = |: \[0x)/gm,
    );
    return [...matches].map((match) => match[1]);
  });
  return [...new Set([...fromHeaders, ...stated])].sort();
}

function layouts() {
  const expressions = {};
  for (const [type, fields] of Object.entries(STRUCTS)) {
    expressions[type] = `sizeof(${type})`;
    for (const field of fields) expressions[`${type}.${field}`] = `offsetof(${type}, ${field})`;
  }
  const values = evaluate(expressions);
  return Object.fromEntries(
    Object.entries(STRUCTS).map(([type, fields]) => {
      const offsets = Object.fromEntries(
        fields.map((field) => [field, values[`${type}.${field}`]]),
      );
      return [type, { sizeof: values[type], offsetof: offsets }];
    }),
  );
}

/** The members of a table of function pointers, in the order of their offsets. */
function slots() {
  const text = mustCompile(PRELUDE, ['-E', '-P']);
  const tables = SLOT_TABLES.map((type) => {
    const body = new RegExp(`typedef struct _${type} \\{([^}]*)\\}`).exec(text)?.[1] ?? '';
    return [type, [...body.matchAll(/\b(lpW\w+);/g)].map((match) => match[1])];
  });
  return Object.fromEntries(tables);
}

function guids() {
  const marks = GUIDS.map((name) => `@@ "${name}" ${name}`);
  const text = mustCompile(`${PRELUDE}\n${marks.join('\n')}\n`, ['-E', '-P']);
  const found = [...text.matchAll(/@@\s*"(\w+)"\s*\{([^}]*)\}/g)].map(([, name, body]) => {
    const parts = body.match(/0x[0-9a-f]+/gi).map((hex) => hex.slice(2).toLowerCase());
    const [first, second, third, ...rest] = parts;
    const bytes = rest.map((hex) => hex.padStart(2, '0')).join('');
    const groups = [first.padStart(8, '0'), second.padStart(4, '0'), third.padStart(4, '0')];
    return [name, [...groups, bytes.slice(0, 4), bytes.slice(4)].join('-')];
  });
  return Object.fromEntries(found);
}

const version = evaluate({
  major: '__MINGW64_VERSION_MAJOR',
  minor: '__MINGW64_VERSION_MINOR',
  bugfix: '__MINGW64_VERSION_BUGFIX',
});
const table = {
  source: `mingw-w64 ${version.major}.${version.minor}.${version.bugfix}, x86_64`,
  constants: evaluate(Object.fromEntries(constantNames().map((name) => [name, name]))),
  structs: layouts(),
  slots: slots(),
  guids: guids(),
  controlMessages: evaluate({
    'CMSG_LEN(4)': 'WSA_CMSG_LEN(4)',
    'CMSG_SPACE(4)': 'WSA_CMSG_SPACE(4)',
    'CMSG_LEN(8)': 'WSA_CMSG_LEN(sizeof(IN_PKTINFO))',
    'CMSG_SPACE(8)': 'WSA_CMSG_SPACE(sizeof(IN_PKTINFO))',
    'CMSG_LEN(20)': 'WSA_CMSG_LEN(sizeof(IN6_PKTINFO))',
    'CMSG_SPACE(20)': 'WSA_CMSG_SPACE(sizeof(IN6_PKTINFO))',
  }),
};
writeFileSync(`${root}test/data/winsock-headers.json`, `${JSON.stringify(table, null, 2)}\n`);
console.log(`${table.source}: ${Object.keys(table.constants).length} constants`);
