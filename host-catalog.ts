// Where the provider catalog is kept: one JSON file, checked when it is read, replaced as a whole when it
// is written, changed by one process at a time, and watched without keeping the process alive. What an
// entry may be is switch/catalog.ts. Sources: INST-04 to INST-08; docs/catalog.md;
// docs/decisions/0033-catalog-file.md.

import { createHash } from 'node:crypto';
import type { FSWatcher } from 'node:fs';
import {
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  watch,
  writeFileSync,
} from 'node:fs';
import { connect, createServer } from 'node:net';
import type { Server, Socket } from 'node:net';
import { homedir } from 'node:os';
import path from 'node:path';
import { z } from 'zod';
import { Catalog } from './switch/catalog.js';

/** The file cannot be read, or is not a catalog. It is as it was. The message names it. */
export class CatalogFileError extends Error {
  override readonly name = 'CatalogFileError';
}

const FORMAT = 'winsock-direct catalog';
const LOCK_WAIT_MS = 10_000;

const number = z.int().min(0).max(0xffff_ffff);
const protocolInfo = z.strictObject({
  dwServiceFlags1: number,
  dwServiceFlags2: number,
  dwServiceFlags3: number,
  dwServiceFlags4: number,
  dwProviderFlags: number,
  ProviderId: z.string(),
  dwCatalogEntryId: number,
  ProtocolChain: z.strictObject({ ChainLen: number, ChainEntries: z.array(number).length(7) }),
  iVersion: number,
  iAddressFamily: number,
  iMaxSockAddr: number,
  iMinSockAddr: number,
  iSocketType: number,
  iProtocol: number,
  iProtocolMaxOffset: number,
  iNetworkByteOrder: number,
  iSecurityScheme: number,
  dwMessageSize: number,
  dwProviderReserved: number,
  szProtocol: z.string().max(255),
});
const schema = z.strictObject({
  format: z.literal(FORMAT),
  version: z.literal(1),
  providers: z.array(z.strictObject({ module: z.string().min(1), protocolInfo })),
  'TCP on SAN': z.record(z.string().min(1), z.string().regex(/^[0-9a-f]{32}$/)),
});

/** WSD_CATALOG, or catalog.json in the user's configuration directory (XDG_CONFIG_HOME). */
export function defaultCatalogPath(): string {
  const chosen = process.env['WSD_CATALOG'];
  if (chosen !== undefined && chosen !== '') return path.resolve(chosen);
  const configured = process.env['XDG_CONFIG_HOME'];
  const isUsable = configured !== undefined && path.isAbsolute(configured);
  const base = isUsable ? configured : path.join(homedir(), '.config');
  return path.join(base, 'winsock-direct', 'catalog.json');
}

export class CatalogFile {
  readonly path: string;

  constructor(file: string = defaultCatalogPath()) {
    this.path = path.resolve(file);
  }

  /** What the file says; nothing when there is none. Throws CatalogFileError. */
  read(): Catalog {
    let text: string;
    try {
      text = readFileSync(this.path, 'utf8');
    } catch (thrown) {
      if ((thrown as NodeJS.ErrnoException).code === 'ENOENT') return new Catalog();
      throw this.#error('cannot be read', thrown);
    }
    return this.#parse(text);
  }

  /**
   * Reads the file, has `change` change what it says, and writes that, while no other process does.
   * Throws CatalogFileError, and what `change` throws; the file is then as it was.
   */
  async update(change: (catalog: Catalog) => void): Promise<Catalog> {
    const unlock = await this.#lock();
    try {
      const catalog = this.read();
      change(catalog);
      this.#write(catalog);
      return catalog;
    } finally {
      await unlock();
    }
  }

  /**
   * Calls `changed` when the file may have changed, until the result is called. Does not keep the
   * process alive; needs the event loop to turn.
   */
  watch(changed: () => void): () => void {
    const watcher = new DirectoryWatcher(path.dirname(this.path), changed);
    return () => watcher.close();
  }

  #parse(text: string): Catalog {
    try {
      const content = schema.parse(JSON.parse(text));
      const values = Object.entries(content['TCP on SAN']);
      const list = values.map(([name, hex]) => ({ name, data: bytesOf(hex) }));
      return new Catalog(content.providers, list);
    } catch (thrown) {
      throw this.#error('is not a catalog', thrown);
    }
  }

  #write(catalog: Catalog): void {
    const content: z.infer<typeof schema> = {
      format: FORMAT,
      version: 1,
      providers: catalog.installed.map((one) => ({
        module: one.module,
        protocolInfo: { ...one.protocolInfo },
      })),
      'TCP on SAN': Object.fromEntries(
        catalog.sanList.map(({ name, data }) => [name, hexOf(data)]),
      ),
    };
    const draft = `${this.path}.${process.pid}.new`;
    try {
      mkdirSync(path.dirname(this.path), { recursive: true, mode: 0o700 });
      const fd = openSync(draft, 'w', 0o600);
      try {
        writeFileSync(fd, `${JSON.stringify(content, null, 2)}\n`);
        fsyncSync(fd);
      } finally {
        closeSync(fd);
      }
      renameSync(draft, this.path);
    } catch (thrown) {
      rmSync(draft, { force: true });
      throw this.#error('cannot be written', thrown);
    }
  }

  /**
   * The lock is a name in the kernel's abstract socket space: whoever dies lets go of it, and whoever
   * waits is told by the end of a connection.
   */
  async #lock(): Promise<() => Promise<void>> {
    const digest = createHash('sha256').update(this.path).digest('hex').slice(0, 32);
    const name = `\0winsock-direct-catalog-${process.getuid?.() ?? 0}-${digest}`;
    const giveUp = AbortSignal.timeout(LOCK_WAIT_MS);
    for (;;) {
      const held = await hold(name);
      if (held !== null) return held;
      if (giveUp.aborted) throw this.#error('is being changed by another process', null);
      await released(name, giveUp);
    }
  }

  #error(what: string, cause: unknown): CatalogFileError {
    const why = cause === null ? '' : `: ${sentenceOf(cause)}`;
    return new CatalogFileError(`catalog ${this.path} ${what}${why}`, { cause });
  }
}

/** Watches a directory, or the nearest above it that exists until it does. */
class DirectoryWatcher {
  readonly #directory: string;
  readonly #changed: () => void;
  #watched = '';
  #watcher: FSWatcher | null = null;

  constructor(directory: string, changed: () => void) {
    this.#directory = directory;
    this.#changed = changed;
    this.#arm();
  }

  close(): void {
    this.#watcher?.close();
    this.#watcher = null;
  }

  #arm(): void {
    const nearest = nearestExisting(this.#directory);
    if (nearest === this.#watched) return;
    this.close();
    this.#watched = nearest;
    try {
      this.#watcher = watch(nearest, { persistent: false }, () => {
        this.#arm();
        this.#changed();
      });
      this.#watcher.on('error', () => this.close());
    } catch {
      // No watch to be had: refreshCatalog() is left.
    }
  }
}

function nearestExisting(directory: string): string {
  let at = directory;
  while (!existsSync(at) && path.dirname(at) !== at) at = path.dirname(at);
  return at;
}

/** Holds a name until the result is called; null when somebody else does. */
function hold(name: string): Promise<(() => Promise<void>) | null> {
  return new Promise((resolve, reject) => {
    const waiting = new Set<Socket>();
    const server: Server = createServer((socket) => {
      waiting.add(socket);
      socket.on('error', () => undefined);
      socket.on('close', () => waiting.delete(socket));
    });
    server.once('error', (thrown: NodeJS.ErrnoException) => {
      if (thrown.code === 'EADDRINUSE') resolve(null);
      else reject(thrown);
    });
    const release = (): Promise<void> =>
      new Promise((closed) => {
        server.close(() => closed());
        for (const socket of waiting) socket.destroy();
      });
    server.listen(name, () => resolve(release));
  });
}

/** Settles when the holder of a name has let go of it, or when it is time to give up. */
function released(name: string, giveUp: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const socket = connect(name);
    const done = (): void => {
      socket.destroy();
      giveUp.removeEventListener('abort', done);
      resolve();
    };
    socket.on('error', done);
    socket.on('close', done);
    giveUp.addEventListener('abort', done);
    socket.resume();
  });
}

function sentenceOf(thrown: unknown): string {
  if (thrown instanceof z.ZodError) {
    const issue = thrown.issues[0];
    return `${issue?.path.join('.') ?? ''} ${issue?.message ?? ''}`.trim();
  }
  return thrown instanceof Error ? thrown.message : String(thrown);
}

function bytesOf(hex: string): Uint8Array {
  return new Uint8Array(Buffer.from(hex, 'hex'));
}

function hexOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}
