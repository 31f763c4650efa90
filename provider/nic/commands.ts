// What the application side of a NIC tells its engine, and what the engine reports. Plain objects:
// they cross a message port when the engine lives in a worker thread. The data path is not here; it
// is the queues of layout.ts.

import type { Nanos } from '../../runtime/clock.js';
import type { NicEvent } from './device.js';
import type { Patience } from './engine-queue-pair.js';

export type EngineCommand =
  | {
      readonly type: 'create-completion-queue';
      readonly index: number;
      /** Byte offsets in the host's private segment; depth in entries. */
      readonly ring: number;
      readonly control: number;
      readonly depth: number;
    }
  | { readonly type: 'enable-completion-events'; readonly index: number }
  | {
      readonly type: 'moderate-completion-queue';
      readonly index: number;
      readonly countMin: number;
      readonly periodMax: Nanos;
    }
  | {
      readonly type: 'create-queue-pair';
      readonly slot: number;
      readonly number: number;
      readonly completionQueue: number;
      /** Byte offsets: queues in the private segment, ring and state in the public one. */
      readonly sendQueue: number;
      readonly receiveQueue: number;
      readonly ring: number;
      readonly state: number;
      readonly sendDepth: number;
      readonly receiveDepth: number;
      /** First sequence number of the inbound ring. */
      readonly sequence: number;
      readonly patience: Patience;
    }
  | {
      readonly type: 'register-memory';
      readonly slot: number;
      readonly localKey: number;
      readonly remoteKey: number;
      readonly address: number;
      readonly length: number;
      readonly access: number;
    }
  | {
      readonly type: 'deregister-memory';
      readonly slot: number;
      readonly localKey: number;
      readonly remoteKey: number;
    }
  | {
      readonly type: 'expose-memory';
      readonly slot: number;
      readonly remoteKey: number;
      readonly address: number;
      readonly length: number;
      readonly access: number;
    }
  | { readonly type: 'conceal-memory'; readonly slot: number; readonly remoteKey: number }
  | { readonly type: 'listen'; readonly port: number; readonly address: number }
  | { readonly type: 'unlisten'; readonly port: number; readonly address: number }
  | {
      readonly type: 'redirect';
      readonly port: number;
      readonly address: number;
      readonly to: number | null;
    }
  | {
      readonly type: 'connect';
      readonly slot: number;
      readonly address: number;
      readonly port: number;
      readonly localPort: number;
      readonly privateData: Uint8Array;
    }
  | {
      readonly type: 'accept';
      readonly slot: number;
      readonly requestId: number;
      readonly privateData: Uint8Array;
    }
  | { readonly type: 'reject'; readonly requestId: number }
  | { readonly type: 'destroy'; readonly slot: number; readonly isMoving: boolean }
  /** The link of one connection is lost; null: the NIC resets, and loses all of them. */
  | { readonly type: 'fail'; readonly slot: number | null }
  /** The hardware is taken out while everything runs. */
  | { readonly type: 'remove' }
  | { readonly type: 'close' };

/** What the application side is told, and one thing that it keeps to itself. */
export type EngineEvent =
  | NicEvent
  /** The peer of a destroyed queue pair has let go as well: slot and memory may be used again. */
  | { readonly type: 'released'; readonly queuePair: number };
