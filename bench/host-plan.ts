// What a host of a benchmark or of the demonstration is opened with, as plain data that travels to
// the other process, and how a loop on it has to wait.

import { availableParallelism } from 'node:os';
import { tcpipProvider } from '../index.js';
import type { HostOptions } from '../index.js';
import { verify } from '../provider/hooks/index.js';
import type { WaitMode } from './endpoint.js';

export interface HostPlan {
  readonly fabric: string;
  readonly address: string;
  readonly engine?: 'inline' | 'worker' | 'auto';
  readonly profile?: 'documented' | 'windows' | 'real-switch' | 'hostile';
  readonly pin?: 'require' | 'try' | 'off';
  /** A provider module as import() takes it, in place of the reference SAN provider. */
  readonly provider?: string;
  readonly segmentBytes?: number;
  /** The contract verifier around the SAN provider: a breach ends the run. */
  readonly verify?: boolean;
  /** The name of a cost model of the NIC; openHost knows which there are. */
  readonly costModel?: string;
}

type CostModel = NonNullable<NonNullable<HostOptions['nic']>['costModel']>;

/** Cores from which on two threads on each side have a core each. */
const CORES_FOR_WORKERS = 4;

export function hostOptions(plan: HostPlan): HostOptions {
  const { provider, verify: isVerified, costModel, ...rest } = plan;
  return {
    ...rest,
    ...(isVerified === true ? { hooks: [verify()] } : {}),
    ...(provider === undefined ? {} : { providers: [provider, tcpipProvider] }),
    ...(costModel === undefined ? {} : { nic: { costModel: costModel as CostModel } }),
  };
}

/** Spinning pays only while every thread that must move has a core of its own. */
export function waitModeFor(engine: 'inline' | 'worker'): WaitMode {
  return availableParallelism() >= (engine === 'worker' ? CORES_FOR_WORKERS : 2) ? 'spin' : 'sleep';
}
