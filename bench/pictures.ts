// A report as pictures: one page that needs nothing beside it, and the same plots as SVG files. Everything
// is black on white; series differ by their dashes and symbols, so that a printer's copy is as good. It
// must not know how anything was measured.

import * as Plot from '@observablehq/plot';
import { JSDOM } from 'jsdom';
import { page } from './page.js';
import type { BenchReport, Result } from './report.js';

export interface ReportFile {
  readonly name: string;
  readonly text: string;
}

export interface Picture {
  /** Of the file, without its ending. */
  readonly name: string;
  readonly title: string;
  /** One sentence: what is on which axis, and what is to be seen. */
  readonly caption: string;
  readonly svg: string;
}

/** index.html and the plots of it. */
export function reportFiles(report: BenchReport): ReportFile[] {
  const pictures = picturesOf(report);
  return [
    { name: 'index.html', text: page(report, pictures) },
    ...pictures.map(({ name, svg }) => ({ name: `${name}.svg`, text: `${svg}\n` })),
  ];
}

interface Point {
  readonly x: number;
  readonly y: number;
  readonly series: string;
}

interface Axes {
  readonly x: string;
  readonly y: string;
}

export function picturesOf({ results }: BenchReport): Picture[] {
  const shown = results.filter(({ value }) => value !== null);
  const own = shown.filter(({ origin }) => origin === 'subject');
  return [
    ...bySize(shown, 'latency'),
    ...bySize(shown, 'bandwidth'),
    ...distributions(own),
    ...byConnections(own),
    ...beside(shown),
  ];
}

const WIDTH = 760;
const HEIGHT = 420;
/** Line patterns, told apart without colour; symbols are Plot's own. */
const DASHES = ['', '6 3', '2 3', '10 3 2 3', '1 4', '12 4'];
const SYMBOLS = ['circle', 'square', 'triangle', 'diamond2', 'cross', 'star', 'wye'] as const;

/** Everything that says the same thing of more than one size. */
function bySize(results: readonly Result[], what: 'latency' | 'bandwidth'): Picture[] {
  const isLatency = what === 'latency';
  const points = results.flatMap((one): Point[] => {
    const fits = isLatency ? one.unit === 'ns' : one.unit === 'GB/s';
    if (!fits || one.bytes === null || one.value === null || one.value <= 0) return [];
    return [{ x: one.bytes, y: isLatency ? one.value / 1000 : one.value, series: seriesOf(one) }];
  });
  const sizes = new Set(points.map(({ x }) => x));
  if (sizes.size < 2) return [];
  return [
    {
      name: `${what}-by-size`,
      title: isLatency ? 'Latency by message size' : 'Bandwidth by message size',
      caption: isLatency
        ? 'Median one-way time in microseconds over the size of a message; both axes are logarithmic.'
        : 'Median bandwidth in gigabytes a second over the size of a message; both axes are logarithmic.',
      svg: lines(points, { x: 'message size [bytes]', y: isLatency ? 'µs' : 'GB/s' }),
    },
  ];
}

/** The name without the size: what a line is about. */
function seriesOf({ name }: Result): string {
  return name.replace(/\.\d+(?=\.|$)/, '');
}

function distributions(results: readonly Result[]): Picture[] {
  const points = results.flatMap(({ name, latency }) =>
    (latency?.percentiles ?? []).flatMap(([percent, nanos]): Point[] => {
      // The maximum has no place on an axis of nines.
      if (percent >= 100 || nanos <= 0) return [];
      return [{ x: 100 / (100 - percent), y: nanos / 1000, series: name }];
    }),
  );
  if (points.length === 0) return [];
  const few = new Set([...new Set(points.map(({ series }) => series))].slice(0, DASHES.length));
  return [
    {
      name: 'distribution',
      title: 'Distribution of latency',
      caption:
        'Time in microseconds that so many of the operations do not exceed: 10 is 90 %, 1000 is 99.9 %.',
      svg: lines(
        points.filter(({ series }) => few.has(series)),
        { x: 'one in so many is slower', y: 'µs' },
        false,
      ),
    },
  ];
}

function byConnections(results: readonly Result[]): Picture[] {
  const points = results.flatMap(({ connections, value, unit, name }): Point[] =>
    connections === null || value === null || unit !== 'ns'
      ? []
      : [{ x: connections, y: value / 1000, series: name.replace(/\.x\d+$/, '') }],
  );
  if (new Set(points.map(({ x }) => x)).size < 2) return [];
  return [
    {
      name: 'cost-by-connections',
      title: 'Cost of a message by number of connections',
      caption: 'Median one-way time in microseconds, the connections used in turn.',
      svg: lines(points, { x: 'connections', y: 'µs' }),
    },
  ];
}

function lines(points: readonly Point[], axes: Axes, hasSymbols = true): string {
  const names = [...new Set(points.map(({ series }) => series))];
  const marks = names.flatMap((name, at) => {
    const own = points.filter(({ series }) => series === name);
    const dashes = DASHES[at % DASHES.length] ?? '';
    const symbol = SYMBOLS[at % SYMBOLS.length] ?? 'circle';
    return [
      Plot.line(own, { x: 'x', y: 'y', stroke: 'black', strokeDasharray: dashes }),
      ...(hasSymbols
        ? [Plot.dot(own, { x: 'x', y: 'y', stroke: 'black', fill: 'white', symbol })]
        : []),
      // Each name at another point of its line, so that they do not hide each other.
      Plot.text([own[Math.max(0, own.length - 1 - 3 * at)] ?? { x: 1, y: 1 }], {
        x: 'x',
        y: 'y',
        text: () => name,
        textAnchor: own.length > 3 * at + 1 ? 'end' : 'start',
        dy: -10,
        stroke: 'white',
        fill: 'black',
      }),
    ];
  });
  const places = [...new Set(points.map(({ x }) => x))].sort((a, b) => a - b);
  const ticks = hasSymbols ? { ticks: places, tickFormat: sizeText } : { tickFormat: sizeText };
  return draw({
    x: { type: 'log', label: axes.x, grid: true, labelOffset: 36, ...ticks },
    y: { type: 'log', label: axes.y, grid: true, tickFormat: '~r' },
    marks,
  });
}

/** 64, 4K, 1M. */
function sizeText(value: number): string {
  if (value >= 2 ** 20 && value % 2 ** 20 === 0) return `${value / 2 ** 20}M`;
  if (value >= 1024 && value % 1024 === 0) return `${value / 1024}K`;
  return String(value);
}

/** Our results beside floors and peers, one size after the other. */
function beside(results: readonly Result[]): Picture[] {
  const own = results.filter(({ origin }) => origin === 'subject');
  return own.flatMap((subject) => {
    const others = results.filter(
      ({ origin, unit, bytes }) =>
        origin !== 'subject' && unit === subject.unit && (bytes ?? subject.bytes) === subject.bytes,
    );
    if (others.length === 0) return [];
    const scale = subject.unit === 'ns' ? 1000 : 1;
    const unit = { ns: 'µs', 'GB/s': 'GB/s', '/s': 'a second', B: 'B', '%': '%' }[subject.unit];
    const bars = [subject, ...others]
      .map(({ title, value, origin }) => ({ title, value: (value ?? 0) / scale, origin }))
      .sort((a, b) => a.value - b.value);
    return [
      {
        name: `beside-${subject.name.replaceAll('.', '-')}`,
        title: `Beside floors and peers: ${subject.title}`,
        caption: `${subject.better === 'less' ? 'Less' : 'More'} is better; the filled dot is this provider's. The axis is logarithmic.`,
        svg: dots(bars, unit),
      },
    ];
  });
}

function dots(
  bars: readonly { readonly title: string; readonly value: number; readonly origin: string }[],
  unit: string,
): string {
  return draw({
    marginLeft: 330,
    height: 80 + 26 * bars.length,
    x: { type: 'log', label: unit, grid: true, tickFormat: '~r' },
    y: { label: null, domain: bars.map(({ title }) => title) },
    marks: [
      Plot.dot(bars, {
        x: 'value',
        y: 'title',
        r: 5,
        stroke: 'black',
        fill: (bar: (typeof bars)[number]) => (bar.origin === 'subject' ? 'black' : 'white'),
        symbol: (bar: (typeof bars)[number]) => (bar.origin === 'floor' ? 'square' : 'circle'),
      }),
      Plot.text(bars, {
        x: 'value',
        y: 'title',
        text: (bar: (typeof bars)[number]) => bar.value.toPrecision(3),
        dx: 12,
        textAnchor: 'start',
      }),
    ],
    color: { type: 'identity' },
    symbol: { type: 'identity' },
  });
}

function draw(options: Plot.PlotOptions): string {
  const { document } = new JSDOM('').window;
  const drawn = Plot.plot({
    width: WIDTH,
    height: HEIGHT,
    marginLeft: 60,
    marginTop: 30,
    marginBottom: 44,
    marginRight: 60,
    style: { background: 'white', color: 'black', fontSize: '12px' },
    ...options,
    document: document,
  });
  const svg = drawn.tagName.toLowerCase() === 'svg' ? drawn : drawn.querySelector('svg');
  if (svg === null) throw new TypeError('nothing was drawn');
  svg.setAttribute('xmlns', 'http://www.w3.org/2000/svg');
  return svg.outerHTML;
}
