// The fixture before the provider: when one of these fails, the others say nothing. It must not start
// any connection.

import type { ConformanceCase } from '../case.js';
import { casesOf } from '../case.js';
import { expectSame, expectThat } from '../check.js';
import { capabilityDifferences } from '../runner.js';
import type { Side } from '../side.js';

const PROVIDER_ID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

export const fixtureCases: readonly ConformanceCase[] = casesOf('the-fixture-itself', [
  {
    name: 'capabilities',
    title: 'the capabilities of the fixture are those of the providers it makes',
    clauses: ['EXT-03'],
    run: ({ left, right, capabilities }) => {
      for (const { host } of [left, right]) {
        const found = capabilityDifferences(capabilities, host.provider.capabilities);
        expectThat(found.length === 0, 'the provider', 'what was declared', found.join(', '));
      }
      expectSame('kind', capabilities.kind, 'san');
    },
  },
  {
    name: 'identity',
    title: 'the provider has a name and a GUID, the same on both hosts',
    clauses: ['INST-05'],
    run: ({ left, right }) => {
      const { name, providerId } = left.host.provider;
      expectThat(name.length > 0, 'name', 'a name', 'nothing');
      expectThat(PROVIDER_ID.test(providerId), 'providerId', 'GUID text', providerId);
      expectSame('providerId', right.host.provider.providerId, providerId);
    },
  },
  {
    name: 'one-subnet',
    title: 'the two hosts have different addresses of one subnet',
    clauses: ['CONN-07'],
    run: ({ left, right }) => {
      const subnet = (side: Side): string => side.address.split('.').slice(0, 2).join('.');
      expectThat(left.address !== right.address, 'the addresses', 'different', 'the same');
      expectSame('the subnet', subnet(left), subnet(right));
    },
  },
  {
    name: 'memory',
    title: 'host memory is had, has an address, and can be given back once',
    clauses: [],
    run: ({ left }) => {
      const { memory } = left.host;
      const block = memory.VirtualAlloc(4096);
      expectThat(block !== null, 'VirtualAlloc', '4096 bytes', 'nothing');
      if (block === null) return;
      expectThat(memory.addressOf(block) > 0, 'addressOf', 'an address', '0');
      expectSame('VirtualFree', memory.VirtualFree(block), true);
      expectSame('VirtualFree again', memory.VirtualFree(block), false);
    },
  },
  {
    name: 'patience',
    title: 'a wait for what never happens comes back',
    clauses: [],
    run: ({ drive }) => {
      expectSame(
        'a wait that is over at once',
        drive(() => true),
        true,
      );
      expectSame(
        'a wait for ever',
        drive(() => false),
        false,
      );
    },
  },
]);
