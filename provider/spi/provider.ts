// What a provider module exports, and what it is handed in place of a DLL's ambient world: clock,
// randomness, progress, memory, logger, NIC. The host implements the environment; this file knows
// neither a host nor a concrete NIC. Sources: INIT-02, INST-05, and the project's layering rules.

import type { Clock } from '../../runtime/clock.js';
import type { Agent } from '../../runtime/progress.js';
import type { Profile } from './profile.js';
import type { LPWSPSTARTUPEX } from './ws2san.js';

/** The one export of a provider module. May throw WsaError when the environment cannot carry it. */
export type CreateProvider<Nic = unknown, Sockets = unknown> = (
  environment: ProviderEnvironment<Nic, Sockets>,
) => ServiceProvider;

export interface ServiceProvider {
  /** For people: traces, reports, the catalog. */
  readonly name: string;
  /** GUID text, fixed for ever: the catalog key under "TCP on SAN". [INST-05] */
  readonly providerId: string;
  readonly capabilities: ProviderCapabilities;
  readonly WSPStartupEx: LPWSPSTARTUPEX;
}

/**
 * What a provider declares about itself. The switch learns the same things by asking (EXT-03,
 * OPT-06); the declaration lets tools choose tests and lets a wrapper check that the answers
 * agree with it.
 */
export interface ProviderCapabilities {
  /**
   * Which contract applies: SAN rules, or the whole generic SPI. Keeps SendTo from being tested
   * on a SAN.
   */
  readonly kind: 'san' | 'base';
  /**
   * WSPRdmaRead exists. Must agree on all hosts of a SAN: the peer's choice of variant depends on
   * it. [XFER-11]
   */
  readonly rdmaRead: boolean;
  /**
   * The cache callback exists; true for every provider that keeps memory pinned after
   * deregistration. [CACHECB-01]
   */
  readonly registrationCacheCallback: boolean;
  /** QoS options and control codes, as XP1_QOS_SUPPORTED says; not merely "fast". [INST-14] */
  readonly qos: boolean;
  /**
   * Bytes of one WSPSend (SO_MAX_MSG_SIZE); null: no limit, and the option is WSAENOPROTOOPT.
   * [OPT-03]
   */
  readonly maxMessageSize: number | null;
  /**
   * Bytes of one RDMA call (SO_MAX_RDMA_SIZE), which is not the registration limit; null: no
   * limit. [OPT-04]
   */
  readonly maxRdmaSize: number | null;
  /**
   * Preferred threshold (SO_RDMA_THRESHOLD_SIZE): RDMA above it, not from it; null: no
   * preference. [XFER-07]
   */
  readonly rdmaThresholdSize: number | null;
  /** WSPDuplicateSocket hands live connections over, instead of failing. [DUPSOCK-01] */
  readonly duplicate: boolean;
}

export interface RandomSource {
  /** A uniformly distributed unsigned 32-bit integer. */
  uint32(): number;
  fill(bytes: Uint8Array): void;
}

/** The thread's progress loop, as far as a provider may know it. */
export interface ProgressRegistry {
  add(agent: Agent): void;
  remove(agent: Agent): void;
}

/** Memory of the host. */
export interface HostMemory {
  /** `bytes` of zeroed memory inside the host's segment; null when there is no more. */
  VirtualAlloc(bytes: number): Uint8Array | null;
  /** Frees what VirtualAlloc gave, after every provider's cache was told. false: not ours. */
  VirtualFree(memory: Uint8Array): boolean;
  /** The process address of the first byte of a buffer; 0 when it is empty or detached. */
  addressOf(buffer: Uint8Array): number;
}

/** Where one process leaves what another is to take over. [DUP-11] */
export interface HandoverStore {
  /**
   * Leaves up to 4,096 bytes for a process of this fabric, until they are taken or this host ends. The
   * number that they are taken by, never 0; null when there is no room.
   */
  leave(processId: number, record: Uint8Array): number | null;
  /** What was left for this process, once; null for anything else, which stays where it is. */
  take(name: number): Uint8Array | null;
}

type Log = (message: string, details?: Readonly<Record<string, unknown>>) => void;

export interface Logger {
  readonly debug: Log;
  readonly info: Log;
  readonly warn: Log;
  readonly error: Log;
}

/** Belongs to the host; a provider keeps what it needs of it until its last WSPCleanup. */
export interface ProviderEnvironment<Nic = unknown, Sockets = unknown> {
  readonly clock: Clock;
  /** Seeded: the same seed, the same decisions. */
  readonly random: RandomSource;
  readonly progress: ProgressRegistry;
  readonly memory: HostMemory;
  readonly logger: Logger;
  readonly profile: Profile;
  /** The host's NIC device, typed by the provider that drives it. */
  readonly nic: Nic;
  /** Kernel sockets, typed by the provider that drives them. */
  readonly sockets: Sockets;
  /** Absent where sockets cannot be handed over to other processes. */
  readonly handover?: HandoverStore;
  readonly processId: number;
}
