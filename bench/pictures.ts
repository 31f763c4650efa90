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
  /** Where the first axis has its numbers, and what they are. Default: at every point, as sizes. */
  readonly ticks?: ReadonlyMap<number, string>;
}

/** Six of many are enough for a picture: the first, the last, and some between. */
const FEW = 6;

function fewOf<T>(all: readonly T[]): readonly T[] {
  if (all.length <= FEW) return all;
  return Array.from(
    { length: FEW },
    (_, at) => all[Math.round((at * (all.length - 1)) / (FEW - 1))] as T,
  );
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

const WIDTH = 680;
const HEIGHT = 380;
const MARGIN_LEFT = 60;
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
  const sizes = [...new Set(points.map(({ x }) => x))];
  if (sizes.length < 2) return [];
  // What has no size is the same for all.
  const level = results.flatMap((one): Point[] =>
    isLatency && one.unit === 'ns' && one.bytes === null && one.value !== null
      ? [Math.min(...sizes), Math.max(...sizes)].map((x) => ({
          ...{ x, y: (one.value ?? 0) / 1000, series: one.title },
        }))
      : [],
  );
  return [
    {
      name: `${what}-by-size`,
      title: isLatency ? 'Latency by message size' : 'Bandwidth by message size',
      caption: isLatency
        ? 'Median one-way time in microseconds by the size of a message. Less is better; both axes are logarithmic.'
        : 'Median bandwidth in gigabytes a second by the size of a message. More is better; both axes are logarithmic.',
      svg: lines([...points, ...level], {
        x: 'message size [bytes]',
        y: isLatency ? 'µs' : 'GB/s',
      }),
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
  const few = new Set(fewOf([...new Set(points.map(({ series }) => series))]));
  return [
    {
      name: 'distribution',
      title: 'Distribution of latency',
      caption:
        'Time in microseconds that such a part of the operations does not exceed: half of them end left of 50 %, all but one in a thousand left of 99.9 %. Flat lines are steady.',
      svg: lines(
        points.filter(({ series }) => few.has(series)),
        { x: 'part of the operations', y: 'µs', ticks: PERCENT_TICKS },
        false,
      ),
    },
  ];
}

/** On an axis of "one in so many is slower". */
const PERCENT_TICKS: ReadonlyMap<number, string> = new Map([
  [1, '0 %'],
  [2, '50 %'],
  [10, '90 %'],
  [100, '99 %'],
  [1000, '99.9 %'],
  [10_000, '99.99 %'],
  [100_000, '99.999 %'],
]);

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
      caption:
        'Median one-way time in microseconds, the connections used in turn. Less is better; a flat line is best.',
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
      ...legend(name, at, hasSymbols ? symbol : null),
    ];
  });
  const drawn = draw({
    height: HEIGHT + LEGEND_LINE * names.length,
    marginBottom: MARGIN_BOTTOM + LEGEND_LINE * names.length,
    x: {
      type: 'log',
      base: 2,
      label: axes.x,
      grid: true,
      labelOffset: 36,
      ...ticksOf(points, axes),
    },
    y: { type: 'log', label: axes.y, grid: true, tickFormat: '~r' },
    marks,
  });
  for (const at of names.keys()) addLegendLine(drawn, at);
  return drawn.outerHTML;
}

/** So many numbers beside each other can be read. */
const TICKS_MAX = 12;

function ticksOf(points: readonly Point[], { ticks }: Axes): Plot.ScaleOptions {
  const places = [...new Set(points.map(({ x }) => x))].sort((a, b) => a - b);
  const last = places.at(-1) ?? 1;
  const shown =
    ticks === undefined
      ? places.filter((_, at) => at % Math.ceil(places.length / TICKS_MAX) === 0)
      : [...ticks.keys()].filter((place) => place <= last);
  return { ticks: shown, tickFormat: (place: number) => ticks?.get(place) ?? sizeText(place) };
}

const MARGIN_BOTTOM = 44;
const LEGEND_LINE = 20;
const LEGEND_LEFT = 90;
const LEGEND_LENGTH = 60;

/** Below the plot, not at the lines, where names would hide each other. */
function legend(name: string, at: number, symbol: (typeof SYMBOLS)[number] | null): Plot.Markish[] {
  const dy = MARGIN_BOTTOM + LEGEND_LINE * at + LEGEND_LINE / 2;
  const place = { frameAnchor: 'bottom-left', dy } as const;
  const dot = { ...place, dx: LEGEND_LEFT - MARGIN_LEFT, stroke: 'black', fill: 'white' };
  const textLeft = LEGEND_LEFT - MARGIN_LEFT + LEGEND_LENGTH / 2 + 10;
  return [
    ...(symbol === null ? [] : [Plot.dot([name], { ...dot, symbol })]),
    Plot.text([name], { ...place, dx: textLeft, textAnchor: 'start', text: (one: string) => one }),
  ];
}

function addLegendLine(plot: Element, at: number): void {
  const y = String(HEIGHT + LEGEND_LINE * at + LEGEND_LINE / 2);
  const line = plot.ownerDocument.createElementNS('http://www.w3.org/2000/svg', 'line');
  const [x1, x2] = [LEGEND_LEFT - LEGEND_LENGTH / 2, LEGEND_LEFT + LEGEND_LENGTH / 2].map(String);
  const dashes = { 'stroke-dasharray': DASHES[at % DASHES.length] ?? '' };
  for (const [name, value] of Object.entries({
    x1,
    x2,
    y1: y,
    y2: y,
    stroke: 'black',
    ...dashes,
  })) {
    line.setAttribute(name, value ?? '');
  }
  // Behind the symbols.
  plot.prepend(line);
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
  return fewOf(own).flatMap((subject) => {
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

/** Width of the names beside the dots, and of one letter of them. */
const LABEL_MAX = 340;
const LABEL_LETTER = 6.6;

function dots(
  bars: readonly { readonly title: string; readonly value: number; readonly origin: string }[],
  unit: string,
): string {
  return draw({
    marginLeft: Math.min(
      LABEL_MAX,
      24 + LABEL_LETTER * Math.max(...bars.map(({ title }) => title.length)),
    ),
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
  }).outerHTML;
}

function draw(options: Plot.PlotOptions): Element {
  const { document } = new JSDOM('').window;
  const drawn = Plot.plot({
    width: WIDTH,
    height: HEIGHT,
    marginLeft: MARGIN_LEFT,
    marginTop: 30,
    marginBottom: MARGIN_BOTTOM,
    marginRight: 60,
    style: { background: 'white', color: 'black', fontSize: '12px' },
    ...options,
    document: document,
  });
  const svg = drawn.tagName.toLowerCase() === 'svg' ? drawn : drawn.querySelector('svg');
  if (svg === null) throw new TypeError('nothing was drawn');
  svg.setAttribute('xmlns', 'http://www.w3.org/2000/svg');
  return svg;
}
