// Writes what is generated from the layout descriptors (native/layout/*.layout.ts): the C++
// header that the addon is compiled against, and the field table of docs/shared-memory.md. With
// --check it writes nothing and fails when a file is stale.

import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath, pathToFileURL } from 'node:url';
import type { Layout } from '../native/layout/struct.js';

const root = fileURLToPath(new URL('..', import.meta.url));
const layoutDirectory = `${root}native/layout`;
const headerFile = `${root}native/src/layout.gen.h`;
const guideFile = `${root}docs/shared-memory.md`;

const TABLE_START = '<!-- layout: written by scripts/gen-layout.ts -->';
const TABLE_END = '<!-- /layout -->';

const CPP_TYPES: Readonly<Record<string, string>> = { u32: 'uint32_t', u64: 'uint64_t' };

interface Descriptors {
  readonly constants: readonly (readonly [string, number])[];
  readonly layouts: readonly Layout[];
}

async function readDescriptors(): Promise<Descriptors> {
  const constants: (readonly [string, number])[] = [];
  const layouts: Layout[] = [];
  const files = readdirSync(layoutDirectory)
    .filter((file) => file.endsWith('.layout.ts'))
    .sort();
  for (const file of files) {
    const exported = (await import(pathToFileURL(`${layoutDirectory}/${file}`).href)) as Record<
      string,
      unknown
    >;
    // By name: loaders differ in the order in which they list exports.
    for (const [name, value] of Object.entries(exported).sort(([a], [b]) => (a < b ? -1 : 1))) {
      if (typeof value === 'number') constants.push([name, value]);
      if (isLayout(value)) layouts.push(value);
    }
  }
  return { constants, layouts };
}

function isLayout(value: unknown): value is Layout {
  return typeof value === 'object' && value !== null && 'fields' in value && 'bytes' in value;
}

/** The C++ header: the same structs, and the compiler's word that it lays them out as we do. */
export function generateHeader({ constants, layouts }: Descriptors): string {
  const lines = [
    '// Generated from native/layout/*.layout.ts by scripts/gen-layout.ts. Do not edit.',
    '#pragma once',
    '',
    '#include <cstddef>',
    '#include <cstdint>',
    '',
    'namespace layout {',
    '',
    ...constants.map(([name, value]) => `constexpr uint64_t ${name} = ${value};`),
  ];
  for (const layout of layouts) lines.push('', ...structLines(layout), '', ...assertLines(layout));
  lines.push('', '}  // namespace layout', '');
  return lines.join('\n');
}

function structLines(layout: Layout): string[] {
  const fields = layout.fields.map((field) => {
    const array = field.count > 1 ? `[${field.count}]` : '';
    return `  alignas(${field.align}) ${CPP_TYPES[field.type] ?? field.type} ${field.name}${array};`;
  });
  return [`struct ${layout.name} {`, ...fields, '};'];
}

function assertLines(layout: Layout): string[] {
  return [
    `static_assert(sizeof(${layout.name}) == ${layout.bytes}, "${layout.name} is ${layout.bytes} bytes");`,
    ...layout.fields.map(
      (field) =>
        `static_assert(offsetof(${layout.name}, ${field.name}) == ${field.byteOffset}, "${field.name} is at ${field.byteOffset}");`,
    ),
  ];
}

/** The tables of the guide, one per layout. */
export function generateTables({ layouts }: Descriptors): string {
  return layouts.map((layout) => tableOf(layout)).join('\n\n');
}

function tableOf(layout: Layout): string {
  const rows = layout.fields.map((field) => {
    const type = field.count > 1 ? `${field.type}[${field.count}]` : field.type;
    return `| ${field.byteOffset} | \`${field.name}\` | ${type} |`;
  });
  return [
    `\`${layout.name}\`, ${layout.bytes} bytes:`,
    '',
    '| byte | field | type |',
    '| --- | --- | --- |',
    ...rows,
  ].join('\n');
}

function withTables(guide: string, tables: string): string {
  const start = guide.indexOf(TABLE_START);
  const end = guide.indexOf(TABLE_END);
  if (start < 0 || end < start)
    throw new Error(`${guideFile} lacks the marks ${TABLE_START} and ${TABLE_END}`);
  return `${guide.slice(0, start)}${TABLE_START}\n\n${tables}\n\n${guide.slice(end)}`;
}

/** What every generated file should contain, by path. */
export async function generate(): Promise<ReadonlyMap<string, string>> {
  const descriptors = await readDescriptors();
  return new Map([
    [headerFile, generateHeader(descriptors)],
    [guideFile, withTables(readFileSync(guideFile, 'utf8'), generateTables(descriptors))],
  ]);
}

/** The generated files that differ from what they should be. */
export async function staleFiles(): Promise<string[]> {
  const stale: string[] = [];
  for (const [file, wanted] of await generate()) {
    let found = '';
    try {
      found = readFileSync(file, 'utf8');
    } catch {
      // A missing file is stale.
    }
    if (found !== wanted) stale.push(file);
  }
  return stale;
}

async function main(): Promise<void> {
  const stale = await staleFiles();
  if (process.argv.includes('--check')) {
    for (const file of stale) console.error(`${file} is stale: run npx tsx scripts/gen-layout.ts`);
    process.exitCode = stale.length > 0 ? 1 : 0;
    return;
  }
  const wanted = await generate();
  for (const file of stale) writeFileSync(file, wanted.get(file) ?? '');
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await main();
