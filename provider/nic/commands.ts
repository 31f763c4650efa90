// What the application side of a NIC tells its engine, and what the engine reports. Plain objects:
// they cross a message port when the engine lives in a worker thread. The data path is not here; it
// is the queues of layout.ts.

import type { ConnectFailure, DisconnectReason } from './verbs.js';

export type EngineCommand =
  | {
      readonly type: 'create-completion-queue';
      readonly index: number;
      /** Byte offsets in the host's private segment; depth in entries. */
      readonly ring: number;
      readonly consumer: number;
      readonly depth: number;
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
  | { readonly type: 'listen'; readonly port: number }
  | { readonly type: 'unlisten'; readonly port: number }
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
  | { readonly type: 'destroy'; readonly slot: number }
  | { readonly type: 'close' };

export type EngineEvent =
  | {
      readonly type: 'connect-request';
      readonly port: number;
      readonly requestId: number;
      readonly remoteAddress: number;
      readonly remotePort: number;
      readonly privateData: Uint8Array;
    }
  | { readonly type: 'request-withdrawn'; readonly port: number; readonly requestId: number }
  | { readonly type: 'established'; readonly queuePair: number; readonly privateData: Uint8Array }
  | { readonly type: 'connect-failed'; readonly queuePair: number; readonly reason: ConnectFailure }
  | { readonly type: 'disconnected'; readonly queuePair: number; readonly reason: DisconnectReason }
  /** Every outstanding request of a destroyed queue pair has completed. */
  | { readonly type: 'destroyed'; readonly queuePair: number }
  /** The peer has let go as well: slot and memory may be used again. */
  | { readonly type: 'released'; readonly queuePair: number };
