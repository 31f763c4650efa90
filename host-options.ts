// What a host is opened with, checked at the door: a clear sentence for every mistake.

import { z } from 'zod';
import { COST_MODELS } from './provider/nic/cost-model.js';
import type { CostModel, CostModelName } from './provider/nic/cost-model.js';
import { ipv4Number, isProfileName } from './provider/spi/index.js';
import type { CreateProvider, ProfileName } from './provider/spi/index.js';
import type { ProviderHook } from './provider/hooks/index.js';
import { Catalog } from './switch/catalog.js';

/** A provider that wraps another one: tracing, verification, faults, metering. */
export type Hook = ProviderHook;

/** A provider module: its name for import(), or what it exports. */
export type ProviderSource = string | { readonly createProvider: CreateProvider<never, never> };

export interface NicHostOptions {
  /**
   * What the link and the NIC cost, in the time of the host's clock: a preset or figures. The same on
   * both hosts of a connection. Default: nothing.
   */
  readonly costModel?: CostModelName | CostModel;
}

export interface HostOptions {
  /** Hosts see each other within one fabric: 1 to 32 of A-Z a-z 0-9 . _ - */
  readonly fabric: string;
  /** The host's IPv4 address in 127.0.0.0/8, such as 127.77.0.1; its /16 is the SAN subnet. */
  readonly address: string;
  /** Where the NIC works: on the host's thread, in a worker, or as the machine allows. */
  readonly engine?: 'inline' | 'worker' | 'auto';
  readonly profile?: ProfileName;
  /** Default: what the catalog lists, the reference SAN provider, and the base TCP/IP provider. */
  readonly providers?: readonly ProviderSource[];
  /**
   * Installed providers: a catalog, the path of one's file, or false for none. Default: the user's
   * own (WSD_CATALOG), but none where `providers` says which there are.
   */
  readonly catalog?: Catalog | string | false;
  /** Wrapped around every SAN provider, the first one innermost. */
  readonly hooks?: readonly Hook[];
  /** What to do at the memlock limit: 'require' makes it WSAENOBUFS, 'try' goes on unlocked. */
  readonly pin?: 'require' | 'try' | 'off';
  /**
   * Address space of the host's shared memory in bytes, VirtualAlloc included. A thread reaches 4 GiB of
   * it, that of its hosts and of all their peers together: openHost throws ENOMEM where there is no room
   * for its own, and a peer for whose there is none is reached over TCP.
   */
  readonly segmentBytes?: number;
  /** What the NIC is like. */
  readonly nic?: NicHostOptions;
  /** Seeds every random decision that is not about security. */
  readonly seed?: number;
  /** Where warnings go; the default is standard error. */
  readonly log?: (level: 'debug' | 'info' | 'warn' | 'error', message: string) => void;
}

/** An option of openHost that cannot be. The message names the option and what it may be. */
export class HostOptionsError extends TypeError {
  override readonly name = 'HostOptionsError';
}

const MINIMUM_SEGMENT_BYTES = 4 * 1024 * 1024;
const MAXIMUM_SEGMENT_BYTES = 2 ** 31;

const nanos = z.number().min(0).max(1e12);
const costFigures = z.strictObject({
  requestNanos: nanos,
  latencyNanos: nanos,
  bytesPerSecond: z.number().min(1),
  completionNanos: nanos,
  registrationNanos: nanos,
  registrationPageNanos: nanos,
  rnrTimerNanos: nanos,
});
const costModel = z.custom<CostModelName | CostModel>(
  (value) =>
    typeof value === 'string'
      ? Object.hasOwn(COST_MODELS, value)
      : costFigures.safeParse(value).success,
  `use ${Object.keys(COST_MODELS).join(', ')} or ${Object.keys(costFigures.shape).join(', ')}`,
);

const schema = z.strictObject({
  fabric: z
    .string()
    .regex(
      /^[A-Za-z0-9_-][A-Za-z0-9._-]{0,31}$/,
      'use 1 to 32 of A-Z a-z 0-9 . _ - and no dot in front',
    ),
  address: z
    .string()
    .refine(isHostAddress, 'use an address of 127.0.0.0/8 such as 127.77.0.1, but not 127.0.0.x'),
  engine: z.enum(['inline', 'worker', 'auto']).optional(),
  profile: z
    .custom<ProfileName>(
      (value) => typeof value === 'string' && isProfileName(value),
      'use documented, windows, real-switch or hostile',
    )
    .optional(),
  providers: z
    .array(
      z.custom<ProviderSource>(
        isProviderSource,
        'use a module name or an object with createProvider',
      ),
    )
    .optional(),
  catalog: z
    .custom<Catalog | string | false>(
      (value) =>
        value === false || value instanceof Catalog || (typeof value === 'string' && value !== ''),
      'use a Catalog, the path of one, or false',
    )
    .optional(),
  hooks: z
    .array(z.custom<Hook>((value) => typeof value === 'function', 'use a function'))
    .optional(),
  pin: z.enum(['require', 'try', 'off']).optional(),
  segmentBytes: z.int().min(MINIMUM_SEGMENT_BYTES).max(MAXIMUM_SEGMENT_BYTES).optional(),
  nic: z.strictObject({ costModel: costModel.optional() }).optional(),
  seed: z
    .int()
    .min(0)
    .max(2 ** 32 - 1)
    .optional(),
  log: z
    .custom<HostOptions['log']>((value) => typeof value === 'function', 'use a function')
    .optional(),
});

/** Throws HostOptionsError. */
export function checkOptions(options: HostOptions): HostOptions {
  const result = schema.safeParse(options);
  if (result.success) return options;
  const issue = result.error.issues[0];
  const where = issue?.path.join('.') ?? '';
  const given =
    issue?.path.length !== 1
      ? ''
      : ` ${JSON.stringify((options as unknown as Record<string, unknown>)[where])}`;
  throw new HostOptionsError(
    `${where === '' ? 'options' : where}${given}: ${issue?.message ?? 'invalid'}`,
  );
}

/** 127.0.0.x is left to the machine itself: localhost, resolvers, and whatever else listens there. */
function isHostAddress(address: string): boolean {
  const number = ipv4Number(address);
  if (number === null || number >>> 24 !== 127) return false;
  const last = number & 0xffff;
  return number >>> 8 !== 0x7f0000 && last !== 0 && last !== 0xffff;
}

function isProviderSource(value: unknown): boolean {
  if (typeof value === 'string') return value.length > 0;
  return typeof value === 'object' && value !== null && 'createProvider' in value;
}
