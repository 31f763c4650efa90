// The files of a fabric: a directory in memory-backed storage with a segment and a wake pipe per
// host. Its lock (flock on the directory) orders everyone who creates or removes files; opening a
// peer's files takes no lock. It must not know what hosts say to each other.
// docs/shared-memory.md, "The directory".
//
// What makes a dead host visible: the kernel closes its end of the pipe, whatever killed it. Files
// are created segment first, pipe last, so a pipe that somebody holds open stands for a whole host.

import {
  closeSync,
  constants,
  fstatSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  rmdirSync,
} from 'node:fs';
import { isIPv4 } from 'node:net';
import type { Arena } from './arena.js';
import { check, errno, isSystemFailure, SystemError } from './errors.js';
import { native } from './load.js';
import { handoverOwner, removeHandovers } from './handover-files.js';
import { Segment, unlinkIfThere } from './segment.js';
import { OwnerPipe, PeerPipe } from './wake-pipe.js';

/** Where fabrics live unless a test says otherwise. */
export const FABRIC_BASE = '/dev/shm';

const FABRIC_NAME = /^[A-Za-z0-9_-][A-Za-z0-9._-]{0,31}$/;
const HOST_FILE = /^(.+)\.(?:segment|private|wake)$/;

/**
 * How often the directory may vanish between making it and locking it, before something is wrong.
 */
const LOCK_ATTEMPTS = 1_000;

/** The name of a fabric is not 1 to 32 of A-Z a-z 0-9 . _ - with no dot in front. */
export class FabricNameError extends RangeError {
  override readonly name = 'FabricNameError';

  constructor(fabric: string) {
    super(
      `fabric name ${JSON.stringify(fabric)}: use 1 to 32 of A-Z a-z 0-9 . _ - and no dot in front`,
    );
  }
}

export interface FabricOptions {
  /** The directory above the fabric's own. */
  readonly base?: string;
}

export interface ClaimOptions {
  readonly arena: Arena;
  /** Size of the segment; see SegmentOptions. */
  readonly bytes: number;
}

/** What a claim gave its owner. Belongs to the thread of the arena. */
export interface ClaimedHost {
  readonly segment: Segment;
  readonly pipe: OwnerPipe;
  /**
   * Ends the host and removes its files, and the directory when it was the last. Twice is
   * allowed.
   */
  release(): void;
}

/** A living host as a peer sees it. */
export interface PeerHost {
  readonly segment: Segment;
  readonly pipe: PeerPipe;
  close(): void;
}

/** The hosts of one fabric of this user. Stateless: usable from any thread, several times. */
export class FabricDirectory {
  readonly fabric: string;
  readonly path: string;

  /** Throws FabricNameError. Touches no file. */
  constructor(fabric: string, options: FabricOptions = {}) {
    if (!FABRIC_NAME.test(fabric)) throw new FabricNameError(fabric);
    this.fabric = fabric;
    this.path = `${options.base ?? FABRIC_BASE}/${directoryPrefix()}${fabric}`;
  }

  segmentPath(address: string): string {
    return `${this.path}/${address}.segment`;
  }

  pipePath(address: string): string {
    return `${this.path}/${address}.wake`;
  }

  /**
   * Makes this thread the owner of `address` (dotted IPv4). Reclaims what dead hosts left. Throws
   * SystemError: EADDRINUSE when a living host has it, EACCES when the directory is not a private
   * one of this user, ENOSPC, …; RangeError for an address that is none. Leaves nothing behind on
   * failure.
   */
  claim(address: string, options: ClaimOptions): ClaimedHost {
    const number = parseIPv4(address);
    return this.locked((): ClaimedHost => {
      sweepLocked(this.path);
      if (isThere(this.pipePath(address))) {
        throw new SystemError(errno.EADDRINUSE, 'claim', `${address} on fabric ${this.fabric}`);
      }
      const segment = Segment.create(options.arena, this.segmentPath(address), {
        bytes: options.bytes,
        address: number,
        generation: native.now(),
      });
      try {
        const pipe = OwnerPipe.create(this.pipePath(address));
        return {
          segment,
          pipe,
          release: () => {
            this.release(address, segment, pipe);
          },
        };
      } catch (thrown) {
        segment.close();
        throw thrown;
      }
    });
  }

  /**
   * Maps the files of a living host; null when there is none at `address`. Throws SystemError
   * when it is one of another version (EPROTO) or broken (EILSEQ, EACCES), and ENOMEM when the
   * arena is full.
   */
  open(address: string, arena: Arena): PeerHost | null {
    parseIPv4(address);
    // The pipe first: whoever holds it open has finished its segment. EPOLLERR tells of its end.
    const pipe = PeerPipe.open(this.pipePath(address));
    if (pipe === null) return null;
    try {
      const segment = Segment.open(arena, this.segmentPath(address));
      return {
        segment,
        pipe,
        close: () => {
          segment.close();
          pipe.close();
        },
      };
    } catch (thrown) {
      const isGone = !pipe.isAlive();
      pipe.close();
      if (isGone) return null;
      throw thrown;
    }
  }

  /** The addresses of the hosts that are alive now, in ascending order. */
  hosts(): string[] {
    let names: string[];
    try {
      names = readdirSync(this.path);
    } catch (thrown) {
      if (isSystemFailure(thrown, 'ENOENT')) return [];
      throw thrown;
    }
    return addressesIn(names).filter((address) => isAlive(this.pipePath(address)));
  }

  /**
   * Removes the files of this fabric's dead hosts, and an empty directory. Returns their
   * addresses.
   */
  sweep(): string[] {
    return this.locked(() => sweepLocked(this.path), false) ?? [];
  }

  private release(address: string, segment: Segment, pipe: OwnerPipe): void {
    // Without the directory (somebody removed it by hand) there is nothing to order, only to close.
    const close = (): void => {
      pipe.close();
      segment.close();
    };
    try {
      this.locked(() => {
        removeHandovers(this.path, address);
        close();
      }, false);
    } finally {
      close();
    }
  }

  /**
   * Runs `act` while holding the directory's lock, and removes the directory when that leaves it
   * empty. With `create` false, returns null when there is no directory.
   */
  private locked<T>(act: () => T): T;
  private locked<T>(act: () => T, create: false): T | null;
  private locked<T>(act: () => T, create = true): T | null {
    for (let attempt = 0; attempt < LOCK_ATTEMPTS; attempt++) {
      if (create) makeDirectory(this.path);
      const fd = openPrivateDirectory(this.path);
      if (fd < 0 && !create) return null;
      if (fd < 0) continue;
      try {
        check(native.lockExclusive(fd), 'flock', this.path);
        // Whoever held the lock before may have removed the directory: then this is a lock on
        // nothing.
        if (!isSameDirectory(fd, this.path)) continue;
        try {
          return act();
        } finally {
          removeIfEmpty(this.path);
        }
      } finally {
        closeSync(fd);
      }
    }
    throw new SystemError(errno.EBUSY, 'flock', `${this.path} kept vanishing`);
  }
}

/** Removes what dead hosts of every fabric of this user left. Returns `fabric/address` of each. */
export function sweepFabrics(options: FabricOptions = {}): string[] {
  const prefix = directoryPrefix();
  const swept: string[] = [];
  for (const name of readdirSync(options.base ?? FABRIC_BASE)) {
    const fabric = name.slice(prefix.length);
    if (!name.startsWith(prefix) || !FABRIC_NAME.test(fabric)) continue;
    try {
      for (const address of new FabricDirectory(fabric, options).sweep())
        swept.push(`${fabric}/${address}`);
    } catch (thrown) {
      // Somebody else's directory under our name: not ours to touch, and no reason to stop.
      if (!isSystemFailure(thrown, 'EACCES')) throw thrown;
    }
  }
  return swept;
}

/** Parses dotted IPv4 into a number in host order. Throws RangeError. */
export function parseIPv4(address: string): number {
  if (!isIPv4(address))
    throw new RangeError(`${JSON.stringify(address)} is not a dotted IPv4 address`);
  return address.split('.').reduce((sum, part) => sum * 256 + Number(part), 0);
}

function directoryPrefix(): string {
  return `wsd-${process.getuid?.() ?? 0}-`;
}

/** Under the lock: whatever no living host holds is a leftover, whole or half. */
function sweepLocked(path: string): string[] {
  const names = readdirSync(path);
  const isDead = (address: string): boolean => !isAlive(`${path}/${address}.wake`);
  const dead = addressesIn(names).filter(isDead);
  // Also of hosts that ended in between; what a host left is good only as long as it lives.
  for (const owner of new Set(names.flatMap((name) => handoverOwner(name) ?? []))) {
    if (isDead(owner)) removeHandovers(path, owner);
  }
  for (const address of dead) {
    unlinkIfThere(`${path}/${address}.wake`);
    unlinkIfThere(`${path}/${address}.private`);
    unlinkIfThere(`${path}/${address}.segment`);
  }
  return dead;
}

function addressesIn(names: readonly string[]): string[] {
  const addresses = names
    .flatMap((name) => HOST_FILE.exec(name)?.[1] ?? [])
    .filter((one) => isIPv4(one));
  return [...new Set(addresses)].sort((a, b) => parseIPv4(a) - parseIPv4(b));
}

function isAlive(pipePath: string): boolean {
  const pipe = PeerPipe.open(pipePath);
  pipe?.close();
  return pipe !== null;
}

function isThere(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false }) !== undefined;
}

function makeDirectory(path: string): void {
  try {
    mkdirSync(path, { mode: 0o700 });
  } catch (thrown) {
    if (!isSystemFailure(thrown, 'EEXIST')) throw thrown;
  }
}

/**
 * Opens the directory; -1 when it is not there. Throws SystemError (EACCES) unless it is ours
 * alone.
 */
function openPrivateDirectory(path: string): number {
  let fd: number;
  try {
    fd = openSync(path, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW);
  } catch (thrown) {
    if (isSystemFailure(thrown, 'ENOENT')) return -1;
    if (isSystemFailure(thrown, 'ELOOP', 'ENOTDIR')) {
      throw new SystemError(errno.EACCES, 'open', `${path} is not a directory`);
    }
    throw thrown;
  }
  const status = fstatSync(fd);
  if (status.uid === process.getuid?.() && (status.mode & 0o777) === 0o700) return fd;
  closeSync(fd);
  throw new SystemError(
    errno.EACCES,
    'open',
    `${path} is not a private directory (mode 0700) of this user`,
  );
}

function isSameDirectory(fd: number, path: string): boolean {
  const held = fstatSync(fd);
  const named = lstatSync(path, { throwIfNoEntry: false });
  return named !== undefined && named.ino === held.ino && named.dev === held.dev;
}

function removeIfEmpty(path: string): void {
  try {
    rmdirSync(path);
  } catch (thrown) {
    if (!isSystemFailure(thrown, 'ENOTEMPTY', 'ENOENT', 'EEXIST')) throw thrown;
  }
}
