// What createProvider may return, and what is said of everything else.

import { describe, expect, it } from 'vitest';
import { whyNoProvider } from '../../../provider/spi/index.js';

describe('what createProvider returned', () => {
  const capabilities = { kind: 'san' };
  const whole = { name: 'n', providerId: 'id', capabilities, WSPStartupEx: () => 0 };

  it('is a provider with a name, an id, capabilities of a kind, and WSPStartupEx [INIT-02]', () => {
    expect(whyNoProvider(whole)).toBeNull();
  });

  it.each([
    [undefined, 'undefined'],
    [null, 'object'],
    [7, 'number'],
    [Promise.resolve(whole), 'promise'],
    [{}, 'without a name'],
    [{ ...whole, providerId: 1 }, 'without a providerId'],
    [{ ...whole, capabilities: null }, 'without capabilities'],
    [{ ...whole, capabilities: { kind: 'other' } }, "no 'san' or 'base'"],
    [{ ...whole, WSPStartupEx: 'later' }, 'without the function WSPStartupEx'],
  ])('is none when it is %j, and it is said why', (made, why) => {
    expect(whyNoProvider(made)).toContain(why);
  });
});
