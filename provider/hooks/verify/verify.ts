// The hook that holds both parties to the contract, on every call and every upcall, in any run: it wraps
// the procedure table and costs nothing when it is not there. What it finds are stops, with stable codes.
// It must not change what a correct provider or a correct caller sees. Source: docs/verifier.md.

import type { ServiceProvider } from '../../spi/provider.js';
import type { LPFN_WSPRDMAWRITE } from '../../spi/ws2san.js';
import type { ExtensionFunctionPointer } from '../../spi/ws2san.js';
import type { ProviderHook, Wrapping } from '../wrap.js';
import { wrapProvider } from '../wrap.js';
import { watchedCalls, watchedRegistration } from './calls.js';
import type { StopCode, Violation } from './stops.js';
import { TransferChecks } from './transfers.js';
import { watchedUpcalls } from './upcalls.js';
import type { QueueDepth } from './world.js';
import { HostShadow, throwStop, World } from './world.js';

export interface VerifyOptions {
  /**
   * What to do with a violation: 'throw' a VerifierStop through whoever broke the contract, which is
   * the default; or tell a function, and go on.
   */
  readonly onViolation?: 'throw' | ((violation: Violation) => void);
  /** Look at every byte of a message; by default 128 bytes spread over it. */
  readonly fullPayload?: boolean;
  /**
   * What the caller may have in progress on one socket: for a provider whose queues are of a known
   * size and who relies on it, such as the field provider with 16 of each. Default: no limit.
   */
  readonly depth?: QueueDepth;
  /** Stops that do not count, such as CALL_AFTER_CLOSE below the shipped switch. [CLOSE-06] */
  readonly tolerate?: readonly StopCode[];
}

/**
 * A hook, and what it has found. Put around the providers of several hosts of one process, it holds
 * what one side sends against what the other receives.
 */
export interface VerifyHook extends ProviderHook {
  /** The first ten of each code, oldest first. */
  readonly violations: () => readonly Violation[];
  readonly memoryFreed: (memory: Uint8Array) => void;
}

const NO_LIMIT: QueueDepth = { sends: Infinity, receives: Infinity };

type Extension = NonNullable<ExtensionFunctionPointer['value']>;

/** A verifier. Where the environment's profile has late calls, CALL_AFTER_CLOSE is tolerated. */
export function verify(options: VerifyOptions = {}): VerifyHook {
  const { onViolation = 'throw', fullPayload = false, depth = NO_LIMIT } = options;
  const tolerate = new Set(options.tolerate);
  const world = new World({
    fullPayload,
    tolerate,
    depth,
    onViolation: onViolation === 'throw' ? throwStop : onViolation,
  });
  return Object.assign(
    ((inner, environment) => {
      if (environment?.profile.callsAfterClose === true) tolerate.add('CALL_AFTER_CLOSE');
      return verified(inner, new HostShadow(world));
    }) satisfies ProviderHook,
    {
      violations: () => world.violations,
      memoryFreed: (memory: Uint8Array) => world.memoryFreed(memory),
    },
  );
}

function verified(inner: ServiceProvider, host: HostShadow): ServiceProvider {
  const wrapped = wrapProvider(inner, wrappingOf(host));
  return {
    ...wrapped,
    WSPStartupEx: (...parameters) => {
      const error = wrapped.WSPStartupEx(...parameters);
      if (error === 0) host.starts++;
      return error;
    },
  };
}

function wrappingOf(host: HostShadow): Wrapping {
  const transfers = new TransferChecks(host);
  const registration = watchedRegistration(host);
  return {
    procedures: (inner) => {
      const watched = watchedCalls(host, inner);
      const { lpWSPSend, lpWSPRecv, lpWSPGetOverlappedResult } = inner;
      return {
        ...watched,
        lpWSPSend: lpWSPSend && transfers.send(lpWSPSend),
        lpWSPRecv: lpWSPRecv && transfers.receive(lpWSPRecv),
        lpWSPGetOverlappedResult:
          lpWSPGetOverlappedResult && transfers.result(lpWSPGetOverlappedResult),
      };
    },
    extension: (name, inner) => {
      switch (name) {
        case 'WSPRdmaWrite':
          return transfers.rdma('write', inner as LPFN_WSPRDMAWRITE);
        case 'WSPRdmaRead':
          return transfers.rdma('read', inner as LPFN_WSPRDMAWRITE);
        case 'WSPMemoryRegistrationCacheCallback':
          return inner;
        default:
          // The names pair each watcher with its own function; the box has lost the type.
          return (registration[name] as unknown as (own: Extension) => Extension)(inner);
      }
    },
    upcalls: (outer) => watchedUpcalls(host, outer),
  };
}
