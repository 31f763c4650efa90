// Which provider carries a connection: the table local IP subnet → SAN provider, built from what
// the providers list. Everything that is not in it belongs to TCP/IP. Sources: INIT-07, ARCH-07,
// ARCH-11, ARCH-14, CONN-01, LSN-02; hosts live in 127.0.0.0/8 (design.md).

import { INADDR_ANY } from '../provider/spi/winsock2.js';
import type { LoadedProvider } from './loaded-provider.js';

/** Every subnet of a fabric is a /16, such as 127.77.0.0/16. */
export const SUBNET_MASK = 0xffff_0000;

export interface Route {
  readonly provider: LoadedProvider;
  /** The provider's own address in that subnet, host order. */
  readonly localAddress: number;
}

export class RoutingTable {
  #routes: readonly Route[] = [];
  readonly #hostAddress: number;

  constructor(hostAddress: number) {
    this.#hostAddress = hostAddress;
  }

  get routes(): readonly Route[] {
    return this.#routes;
  }

  /** Builds the table anew; the provider that was started first wins a subnet. */
  rebuild(providers: readonly LoadedProvider[]): void {
    this.#routes = providers.flatMap((provider) =>
      provider.addresses.map((localAddress) => ({ provider, localAddress })),
    );
  }

  /**
   * Where a connection to `destination` goes; null is TCP/IP. `boundAddress` is the address the
   * application bound to, INADDR_ANY when it did not say. Own addresses stay with TCP/IP: a SAN
   * has no loopback.
   */
  routeTo(destination: number, boundAddress: number): Route | null {
    if (destination === this.#hostAddress || destination === INADDR_ANY) return null;
    if (this.#routes.some((route) => route.localAddress === destination)) return null;
    const wanted = subnetOf(destination);
    for (const route of this.#routes) {
      if (subnetOf(route.localAddress) !== wanted) continue;
      if (boundAddress === INADDR_ANY || boundAddress === route.localAddress) return route;
    }
    return null;
  }

  /** The providers that a listener on `address` includes: its owner, or all for the wildcard. */
  listeners(address: number): readonly Route[] {
    if (address !== INADDR_ANY) {
      return this.#routes.filter((route) => route.localAddress === address).slice(0, 1);
    }
    const seen = new Set<LoadedProvider>();
    return this.#routes.filter((route) => {
      if (seen.has(route.provider)) return false;
      seen.add(route.provider);
      return true;
    });
  }
}

function subnetOf(address: number): number {
  return (address & SUBNET_MASK) >>> 0;
}
