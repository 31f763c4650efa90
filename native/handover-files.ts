// Records that one process leaves for another in the directory of a fabric: one file each, readable by
// this user alone, named after a random number and the host that left it. Gone when taken, and when that
// host ends or is swept after its death. Knows nothing of what a record says.
// docs/duplication.md, "The handover file".

import { randomInt } from 'node:crypto';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { isIPv4 } from 'node:net';
import { isSystemFailure } from './errors.js';
import { unlinkIfThere } from './segment.js';

/** number.address.handover */
const HANDOVER_FILE = /^([0-9a-f]{8})\.([0-9.]+)\.handover$/;
const HANDOVER_BYTES_MAX = 4096;

/** The address of the host that left this file; null for another kind of file. */
export function handoverOwner(fileName: string): string | null {
  const owner = HANDOVER_FILE.exec(fileName)?.[2] ?? '';
  return isIPv4(owner) ? owner : null;
}

/** Removes what the host at `address` left. Call it under the directory's lock. */
export function removeHandovers(directory: string, address: string): void {
  for (const name of namesIn(directory)) {
    if (handoverOwner(name) === address) unlinkIfThere(`${directory}/${name}`);
  }
}

/** The records of one host: what it leaves, and what others left for its process. */
export class HandoverFiles {
  readonly #directory: string;
  readonly #address: string;
  readonly #processId: number;

  constructor(options: {
    readonly directory: string;
    readonly address: string;
    readonly processId: number;
  }) {
    this.#directory = options.directory;
    this.#address = options.address;
    this.#processId = options.processId;
  }

  /**
   * Leaves a record of at most HANDOVER_BYTES_MAX for a process; the number, never 0, by which it is
   * taken. null when the file system has no room.
   */
  leave(processId: number, record: Uint8Array): number | null {
    if (record.length > HANDOVER_BYTES_MAX) return null;
    for (;;) {
      const number = randomInt(1, 2 ** 32);
      if (this.#find(number) !== null) continue;
      const path = `${this.#directory}/${hex(number)}.${this.#address}.handover`;
      try {
        const content = Buffer.concat([Buffer.from(`${processId}\n`), record]);
        writeFileSync(path, content, { flag: 'wx', mode: 0o600 });
        return number;
      } catch (thrown) {
        if (isSystemFailure(thrown, 'EEXIST')) continue;
        unlinkIfThere(path);
        if (isSystemFailure(thrown, 'ENOSPC', 'EDQUOT', 'EMFILE', 'ENFILE', 'ENOENT')) return null;
        throw thrown;
      }
    }
  }

  /** The record with this number if it is for this process, and the file is gone; otherwise null. */
  take(number: number): Uint8Array | null {
    const path = this.#find(number);
    if (path === null) return null;
    let content: Buffer;
    try {
      content = readFileSync(path);
    } catch (thrown) {
      if (isSystemFailure(thrown, 'ENOENT')) return null;
      throw thrown;
    }
    const end = content.indexOf('\n');
    if (end < 0 || content.subarray(0, end).toString() !== String(this.#processId)) return null;
    // Two may read it; the one that removes it has it.
    return unlinkIfThere(path) ? content.subarray(end + 1) : null;
  }

  #find(number: number): string | null {
    const prefix = `${hex(number)}.`;
    const name = namesIn(this.#directory).find(
      (one) => one.startsWith(prefix) && handoverOwner(one) !== null,
    );
    return name === undefined ? null : `${this.#directory}/${name}`;
  }
}

function namesIn(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch (thrown) {
    if (isSystemFailure(thrown, 'ENOENT')) return [];
    throw thrown;
  }
}

function hex(number: number): string {
  return (number >>> 0).toString(16).padStart(8, '0');
}
