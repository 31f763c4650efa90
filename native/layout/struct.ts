// How a shared layout is stated: once, as data. Offsets are computed in order, never typed; the C++
// header layout.gen.h is generated from the same descriptors and checked by static_assert.

export const CACHE_LINE_BYTES = 64;

export type FieldType = 'u32' | 'u64';

const FIELD_BYTES: Readonly<Record<FieldType, number>> = { u32: 4, u64: 8 };

export interface FieldSpec {
  readonly name: string;
  readonly type: FieldType;
  /** Alignment in bytes; at least that of the type. */
  readonly align: number;
  readonly count: number;
}

export function field(
  name: string,
  type: FieldType,
  options: { align?: number; count?: number } = {},
): FieldSpec {
  const align = Math.max(options.align ?? 0, FIELD_BYTES[type]);
  return { name, type, align, count: options.count ?? 1 };
}

export interface Layout {
  readonly name: string;
  /** Whole cache lines. */
  readonly bytes: number;
  readonly fields: readonly (FieldSpec & { readonly byteOffset: number })[];
  /** Byte offset of a field. */
  offset(name: string): number;
  /** Offset of a field in 32-bit words. */
  word(name: string): number;
}

/** Lays fields out in the order given, each at its alignment, and rounds the whole up to cache lines. */
export function struct(name: string, specs: readonly FieldSpec[]): Layout {
  let next = 0;
  const fields = specs.map((spec) => {
    const byteOffset = roundUp(next, spec.align);
    next = byteOffset + FIELD_BYTES[spec.type] * spec.count;
    return { ...spec, byteOffset };
  });
  const offsets = new Map(fields.map((one) => [one.name, one.byteOffset]));
  if (offsets.size !== fields.length) throw new Error(`layout ${name} names a field twice`);
  const offset = (fieldName: string): number => {
    const found = offsets.get(fieldName);
    if (found === undefined) throw new Error(`layout ${name} has no field ${fieldName}`);
    return found;
  };
  return {
    name,
    bytes: roundUp(next, CACHE_LINE_BYTES),
    fields,
    offset,
    word: (fieldName) => offset(fieldName) / 4,
  };
}

export function roundUp(value: number, multiple: number): number {
  return Math.ceil(value / multiple) * multiple;
}
