// The hosts that an engine knows: opened when a connection first needs one, kept while they live,
// forgotten with everything of theirs when they die. One mapping per peer, however many connections.

import type { Arena } from '../../native/arena.js';
import type { FabricDirectory } from '../../native/fabric-directory.js';
import type { Reactor, WatchToken } from '../../native/reactor.js';
import { EPOLLERR } from '../../native/reactor.js';
import { PeerPipe } from '../../native/wake-pipe.js';
import { addressText } from './address.js';
import { PeerHost } from './peer-host.js';
import { NO_PROCESS, readsPipe } from './process-of.js';

export interface PeersOptions {
  readonly directory: FabricDirectory;
  readonly arena: Arena;
  readonly reactor: Reactor;
  readonly processId: number;
  /** The frame that wakes a peer. */
  readonly wake: Uint8Array;
  /** Ends every connection with a peer that died; its memory is still mapped. */
  readonly died: (peer: PeerHost) => void;
}

export class Peers {
  readonly #options: PeersOptions;
  readonly #peers = new Map<number, { peer: PeerHost; token: WatchToken }>();

  constructor(options: PeersOptions) {
    this.#options = options;
  }

  /** The living host at `address`, mapped; null when there is none that this NIC can talk to. */
  open(address: number): PeerHost | null {
    const known = this.#peers.get(address);
    if (known !== undefined) {
      if (known.peer.isAlive()) return known.peer;
      this.#forget(known.peer);
    }
    const { directory, arena, reactor, processId, wake } = this.#options;
    let host;
    try {
      host = directory.open(addressText(address), arena);
    } catch {
      // Another version, or a broken segment.
      return null;
    }
    if (host === null) return null;
    const { pid } = host.segment;
    const peer = new PeerHost(host, arena.view, {
      processId: readsPipe(pid, host.pipe.fd) ? pid : NO_PROCESS,
      isHere: pid === processId,
      wake,
    });
    const token = reactor.watch(peer.pipeDescriptor, EPOLLERR, () => {
      this.#forget(peer);
    });
    this.#peers.set(address, { peer, token });
    return peer;
  }

  /** For a host that open() does not give, as when the arena is full; lost when its pipe is, too. */
  writeUnmapped(address: number, bytes: Uint8Array): void {
    const path = this.#options.directory.pipePath(addressText(address));
    try {
      const pipe = PeerPipe.open(path);
      pipe?.write(bytes);
      pipe?.close();
    } catch {
      // Not a pipe, or not ours to open.
    }
  }

  /** Hosts that this NIC is or was connected with, and that live as far as is known. */
  get count(): number {
    return this.#peers.size;
  }

  close(): void {
    for (const { peer, token } of this.#peers.values()) {
      this.#options.reactor.unwatch(token);
      peer.close();
    }
    this.#peers.clear();
  }

  #forget(peer: PeerHost): void {
    const known = this.#peers.get(peer.address);
    if (known?.peer !== peer) return;
    this.#peers.delete(peer.address);
    this.#options.reactor.unwatch(known.token);
    peer.alive = false;
    this.#options.died(peer);
    peer.close();
    this.#options.directory.sweep();
  }
}
