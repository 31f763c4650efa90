// The page of a report: what is in it, that it needs nothing beside it, that it can be read without colour,
// and that a real browser shows it.

import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { JSDOM } from 'jsdom';
import { chromium } from 'playwright-core';
import { describe, expect, it } from 'vitest';
import { picturesOf, reportFiles } from '../../bench/pictures.js';
import { latencySample, report, sample, subject } from './fixtures.js';

const sizes = [64, 1024, 65_536];
const made = report(
  [
    subject('floor.spin', { origin: 'floor' }),
    ...sizes.map((bytes) => subject(`provider.lat.send.${bytes}`, { bytes, connections: 1 })),
    ...sizes.map((bytes) => subject(`tcp.latency.${bytes}`, { bytes, origin: 'peer' })),
    ...sizes.map((bytes) =>
      subject(`provider.bw.send.${bytes}`, { bytes, unit: 'GB/s', better: 'more' }),
    ),
    subject('provider.scale.send.64.x1000', { bytes: 64, connections: 1000 }),
    subject('ucx.latency.64', { bytes: 64, origin: 'peer', absent: 'not installed' }),
  ],
  new Map([
    ['floor.spin', [sample(50)]],
    ...sizes.flatMap((bytes): [string, ReturnType<typeof sample>[]][] => [
      [`provider.lat.send.${bytes}`, [latencySample(150 + bytes / 50, bytes)]],
      [`tcp.latency.${bytes}`, [sample(40_000)]],
      [`provider.bw.send.${bytes}`, [sample(bytes / 8000)]],
    ]),
    ['provider.scale.send.64.x1000', [latencySample(200)]],
  ]),
);

describe('the pictures', () => {
  const pictures = picturesOf(made);

  it('are those that the report has something for', () => {
    expect(pictures.map(({ name }) => name)).toEqual([
      'latency-by-size',
      'bandwidth-by-size',
      'distribution',
      'cost-by-connections',
      'beside-provider-lat-send-64',
      'beside-provider-lat-send-1024',
      'beside-provider-lat-send-65536',
      'beside-provider-scale-send-64-x1000',
    ]);
    expect(picturesOf(report([subject('a')], new Map([['a', [sample(1)]]])))).toEqual([]);
  });

  it('are drawn in black and white, their lines told apart by dashes', () => {
    for (const { svg } of pictures) {
      const colours = svg.match(/(?:stroke|fill)="(?!none|black|white|currentColor)[^"]+"/g) ?? [];
      expect(colours).toEqual([]);
    }
    const [byS] = pictures;
    // Each line, and the same in the legend; the first one has none.
    const dashes = (byS?.svg.match(/stroke-dasharray="[^"]+"/g) ?? []).sort();
    expect(dashes.length).toBeGreaterThan(1);
    expect(dashes.filter((one, at) => at % 2 === 0)).toEqual([...new Set(dashes)]);
    expect(dashes.length).toBe(2 * new Set(dashes).size);
  });

  it('are whole SVG documents', () => {
    for (const { svg } of pictures) {
      const { documentElement } = new JSDOM(svg, { contentType: 'image/svg+xml' }).window.document;
      expect(documentElement.namespaceURI).toBe('http://www.w3.org/2000/svg');
      expect(svg).not.toContain('NaN');
    }
  });
});

describe('the page', () => {
  const files = reportFiles(made);
  const page = files.find(({ name }) => name === 'index.html')?.text ?? '';

  it('has every picture and every result, and loads nothing', () => {
    const { document } = new JSDOM(page).window;
    expect(document.querySelectorAll('figure svg')).toHaveLength(files.length - 1);
    expect(document.querySelectorAll('tbody tr')).toHaveLength(made.results.length);
    expect(document.querySelectorAll('script, link, img, iframe')).toHaveLength(0);
    expect(page).not.toMatch(/(?:src|href)="(?!#)/);
  });

  it('shows text as text', () => {
    const { document } = new JSDOM(page).window;
    expect(document.querySelector('code')?.textContent).toContain('<&"');
    expect(document.body.textContent).toContain('not installed');
  });

  it('is shown by a browser, without an error and without asking for anything', async () => {
    const folder = mkdtempSync(path.join(tmpdir(), 'wsd-page-'));
    const file = path.join(folder, 'index.html');
    writeFileSync(file, page);
    const browser = await chromium.launch({
      executablePath: browserPath(),
      args: BROWSER_ARGUMENTS,
    });
    try {
      const shown = await browser.newPage();
      const [errors, requests]: [string[], string[]] = [[], []];
      shown.on('pageerror', (error) => errors.push(error.message));
      shown.on('console', (message) => errors.push(message.text()));
      shown.on('request', (request) => requests.push(request.url()));
      await shown.goto(`file://${file}`);
      const figures = shown.locator('figure svg');
      expect(await figures.count()).toBe(files.length - 1);
      for (const figure of await figures.all()) {
        const box = await figure.boundingBox();
        expect(box?.width).toBeGreaterThan(300);
        expect(box?.height).toBeGreaterThan(80);
      }
      expect([errors, requests]).toEqual([[], [`file://${file}`]]);
    } finally {
      await browser.close();
      rmSync(folder, { recursive: true });
    }
  });
});

const BROWSER_ARGUMENTS = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

/** The build machine installs it (.ci/run); elsewhere it is Debian's package, or any Chromium. */
function browserPath(): string {
  for (const name of ['chromium', 'chromium-browser', 'google-chrome']) {
    const found = spawnSync('sh', ['-c', `command -v ${name}`], { encoding: 'utf8' }).stdout.trim();
    if (found !== '' && existsSync(found)) return found;
  }
  throw new Error('the pages of reports are tested in Chromium: install the package chromium');
}
