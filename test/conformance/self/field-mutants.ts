// Mutants after the field provider's own defects that no other table has. Source: field-evidence 0.3.

import * as spi from '../../../provider/spi/index.js';
import { broken, withError } from './broken.js';
import type { Mutant } from './mutant.js';

export const fieldMutants: readonly Mutant[] = [
  {
    name: 'register-needs-a-port',
    source: 'field-evidence 0.3, 6: WSPRegisterMemory of an unbound socket follows a null port',
    change: {
      kind: 'provider',
      wrap: broken(() => {
        const bound = new Set<number>();
        return {
          procedures: (inner) => ({
            lpWSPBind: (s, ...rest) => {
              bound.add(s);
              return inner.lpWSPBind(s, ...rest);
            },
            lpWSPAccept: (...parameters) => {
              const s = inner.lpWSPAccept(...parameters);
              bound.add(s);
              return s;
            },
          }),
          extensions: {
            WSPRegisterMemory:
              (inner) =>
              (s, ...rest) => {
                if (!bound.has(s)) throw new TypeError('the port is null');
                return inner(s, ...rest);
              },
          },
        };
      }),
    },
    caughtBy: { cases: ['calls-in-every-state/WSPRegisterMemory-unbound'] },
  },
  {
    name: 'receive-before-connection',
    source: 'field-evidence 0.3, 9: the state is not checked before a receive is posted',
    change: {
      kind: 'provider',
      wrap: broken(() => ({
        procedures: (inner) => ({
          lpWSPRecv: withError(inner.lpWSPRecv, spi.WSAENOTCONN, spi.WSA_IO_PENDING),
        }),
      })),
    },
    caughtBy: { cases: ['calls-in-every-state/WSPRecv-bound'] },
  },
  {
    name: 'evicted-registration-followed',
    source:
      'field-evidence 0.3, 3: after an eviction the next transfer follows a null registration',
    change: {
      kind: 'provider',
      wrap: broken(() => {
        let hasEvicted = false;
        return {
          procedures: (inner) => ({
            lpWSPSend: (...parameters) => {
              if (hasEvicted) throw new TypeError('the registration is null');
              return inner.lpWSPSend(...parameters);
            },
          }),
          extensions: {
            WSPMemoryRegistrationCacheCallback:
              (inner) =>
              (...parameters) => {
                hasEvicted = true;
                return inner(...parameters);
              },
          },
        };
      }),
    },
    caughtBy: { cases: ['caching-registered-memory/callback'] },
  },
];
