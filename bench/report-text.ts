// The report as lines for a terminal: the summary's table, and the columns that users of perftest know.
// It must not know how anything was measured.

import type { BenchReport, Result } from './report.js';

const MIB = 2 ** 20;

/** The report as a table: every result on a line, floors and limits beside it. */
export function reportTable(made: BenchReport): string {
  const rows = made.results.map((one) => [
    one.title,
    one.absent ?? formatValue(one.value ?? Number.NaN, one.unit),
    one.ratio === null ? '' : `${formatNumber(one.ratio)}x ${one.floor ?? ''}`,
    one.limit === null ? '' : formatLimit(one.limit),
    one.verdict === 'none' ? '' : one.verdict,
    disturbance(one),
  ]);
  return [
    ...header(made),
    '',
    ...columns([['', 'median', 'to floor', 'limit', '', ''], ...rows]),
    ...made.warnings.map((warning) => `warning: ${warning}`),
  ].join('\n');
}

export function header({ environment, parameters }: BenchReport): string[] {
  const { pinnedTo } = environment;
  const pinned = pinnedTo === null ? 'not pinned' : `pinned to ${pinnedTo.join(' and ')}`;
  const { cpu, cores, kernel, node, loadAverage, clockNanos } = environment;
  return [
    `${cpu}, ${cores} cores, Linux ${kernel}, Node ${node}`,
    `engine ${parameters.engine}, ${pinned}, load average ${loadAverage.toFixed(2)}, ` +
      `clock ${clockNanos.toFixed(0)} ns, medians of ${parameters.pairs}`,
  ];
}

function disturbance(one: Result): string {
  const count = one.disturbedCount;
  return count === 0 ? '' : `${count} of ${one.samples.length} disturbed`;
}

export function formatValue(value: number, unit: Result['unit']): string {
  if (unit === 'ns' && value >= 10_000) return `${formatNumber(value / 1000)} us`;
  if (unit === '/s' && value >= 1e6) return `${formatNumber(value / 1e6)} M/s`;
  if (unit === '/s' && value >= 1e4) return `${formatNumber(value / 1e3)} k/s`;
  return `${formatNumber(value)} ${unit}`;
}

function formatNumber(value: number): string {
  return value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2);
}

function formatLimit(bound: NonNullable<Result['limit']>): string {
  const sign = bound.kind === 'at-most' ? '<=' : '>=';
  return bound.ratio === undefined ? `${sign} ${bound.value ?? ''}` : `${sign} ${bound.ratio}x`;
}

/** Rows with their cells aligned: the first column to the left, numbers to the right. */
export function columns(rows: readonly (readonly string[])[]): string[] {
  const widths =
    rows[0]?.map((_, at) => Math.max(...rows.map((row) => row[at]?.length ?? 0))) ?? [];
  return rows.map((row) =>
    row
      .map((cell, at) => (at === 0 ? cell.padEnd(widths[at] ?? 0) : cell.padStart(widths[at] ?? 0)))
      .join('  ')
      .trimEnd(),
  );
}

// The columns of perftest ------------------------------------------------------------------------

const LATENCY_COLUMNS = [
  '#bytes',
  '#iterations',
  't_min[usec]',
  't_max[usec]',
  't_typical[usec]',
  't_avg[usec]',
  't_stdev[usec]',
  '99% percentile[usec]',
  '99.9% percentile[usec]',
] as const;

export interface TextOptions {
  /** Gigabits per second in place of MiB per second. */
  readonly gigabits: boolean;
  /** The percentiles of each distribution after the table. */
  readonly histograms: boolean;
}

/** Tables of the tests' own results, in perftest's columns; floors and peers below them. */
export function perftestTables(made: BenchReport, options: TextOptions): string {
  const own = made.results.filter(({ origin }) => origin === 'subject');
  const others = made.results.filter(({ origin }) => origin !== 'subject');
  return [
    ...header(made).map((line) => `# ${line}`),
    ...latencyTable(own.filter(({ latency }) => latency !== null)),
    ...bandwidthTable(
      own.filter(({ bandwidth }) => bandwidth !== null),
      options.gigabits,
    ),
    ...(options.histograms ? own.flatMap(distribution) : []),
    ...(others.length === 0 ? [] : ['', ...comparison(own, others)]),
    ...rates(own),
    ...own.flatMap(costLine),
    ...made.warnings.map((warning) => `# warning: ${warning}`),
  ].join('\n');
}

/** What is counted a second and has times as well. */
function rates(results: readonly Result[]): string[] {
  return results.flatMap(({ name, unit, value, latency }) =>
    unit !== '/s' || latency === null || value === null
      ? []
      : [`# ${name}: ${formatValue(value, unit)}, closing included`],
  );
}

function latencyTable(results: readonly Result[]): string[] {
  if (results.length === 0) return [];
  const hasConnections = results.some(({ connections }) => (connections ?? 1) > 1);
  const extra = hasConnections ? ['#connections'] : [];
  const rows = results.map((one) => {
    const found = one.latency;
    if (found === null) return [];
    const { minNanos, maxNanos, typicalNanos, averageNanos, stdevNanos, p99Nanos, p999Nanos } =
      found;
    const times = [minNanos, maxNanos, typicalNanos, averageNanos, stdevNanos, p99Nanos, p999Nanos];
    return [
      String(one.bytes ?? 0),
      String(one.operations),
      ...times.map((nanos) => (nanos / 1000).toFixed(2)),
      ...(hasConnections ? [String(one.connections ?? 1)] : []),
    ];
  });
  return padded([[...LATENCY_COLUMNS, ...extra], ...rows]);
}

function bandwidthTable(results: readonly Result[], gigabits: boolean): string[] {
  if (results.length === 0) return [];
  const unit = gigabits ? 'Gb/sec' : 'MiB/sec';
  const divisor = gigabits ? 1e9 / 8 : MIB;
  const names = [`BW peak[${unit}]`, `BW average[${unit}]`, 'MsgRate[Mpps]'];
  // Several results of one size: which is which.
  const isNamed = new Set(results.map(({ bytes }) => bytes)).size < results.length;
  const rows = results.map(({ bytes, operations, bandwidth, name, ratio }) => {
    if (bandwidth === null) return [];
    const { peakBytesPerSecond, averageBytesPerSecond, messagesPerSecond } = bandwidth;
    return [
      String(bytes ?? 0),
      String(operations),
      // The best slice is never below all of them.
      (Math.max(peakBytesPerSecond ?? 0, averageBytesPerSecond) / divisor).toFixed(2),
      (averageBytesPerSecond / divisor).toFixed(2),
      (messagesPerSecond / 1e6).toFixed(6),
      ...(isNamed ? [ratio === null ? '' : `${formatNumber(ratio)}x`, name] : []),
    ];
  });
  const extra = isNamed ? ['to the one before', '#test'] : [];
  return padded([['#bytes', '#iterations', ...names, ...extra], ...rows]);
}

/** One space on the left of every column, as perftest prints them. */
function padded(rows: readonly (readonly string[])[]): string[] {
  const widths =
    rows[0]?.map((_, at) => Math.max(...rows.map((row) => row[at]?.length ?? 0))) ?? [];
  return rows.map((row) =>
    ` ${row.map((cell, at) => cell.padEnd(widths[at] ?? 0)).join('    ')}`.trimEnd(),
  );
}

function distribution({ name, latency }: Result): string[] {
  if (latency === null) return [];
  const rows = latency.percentiles.map(([percent, nanos]) => [
    `${percent}%`,
    (nanos / 1000).toFixed(3),
  ]);
  return ['', ...columns([[`# ${name}`, 'usec'], ...rows])];
}

function comparison(own: readonly Result[], others: readonly Result[]): string[] {
  const rows = others.map((other) => {
    const ratios = own.flatMap(({ bytes, against }) => {
      const found = against.find(({ name }) => name === other.name);
      return found === undefined ? [] : [`${formatNumber(found.ratio)}x (${bytes ?? 0} B)`];
    });
    const value = other.absent ?? formatValue(other.value ?? Number.NaN, other.unit);
    return [other.title, value, ratios.slice(0, RATIOS_SHOWN).join(' '), disturbance(other)];
  });
  return columns([['# beside it', 'median', 'this over that', ''], ...rows]);
}

const RATIOS_SHOWN = 3;

/** What a test has to say beside its figure. */
const DETAILS: Readonly<Record<string, (value: number) => string>> = {
  deregister: (nanos) => `giving it back: ${formatValue(nanos, 'ns')} (median)`,
};

function costLine({ name, verifyNanos, samples }: Result): string[] {
  const details = Object.entries(samples[0]?.details ?? {});
  const verify =
    verifyNanos === null || verifyNanos === 0
      ? []
      : [`filling and checking the payload: ${verifyNanos.toFixed(1)} ns a message`];
  const further = details.map(
    ([key, value]) => DETAILS[key]?.(value) ?? `${key} ${formatNumber(value)}`,
  );
  const parts = [...verify, ...further];
  return parts.length === 0 ? [] : [`# ${name}: ${parts.join(', ')}`];
}
