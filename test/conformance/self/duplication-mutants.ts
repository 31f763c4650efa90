// Mutants of duplication. Sources: field-evidence 0.2 and S16; DUP-11, DUP-17.

import { createProvider } from '../../../provider/san/provider.js';
import type { SanEnvironment } from '../../../provider/san/provider.js';
import * as spi from '../../../provider/spi/index.js';
import { broken } from './broken.js';
import type { Mutant } from './mutant.js';

const DUPLICATING = 'duplicating-socket-handles-for-a-san';

export const duplicationMutants: readonly Mutant[] = [
  {
    name: 'duplicated-receives-aborted',
    source: 'DUP-11; field-evidence 6, S16: the old end is flushed with success, not aborted',
    change: {
      kind: 'provider',
      wrap: broken(() => {
        let isLettingGo = false;
        return {
          procedures: (inner) => ({
            lpWSPDuplicateSocket: (...parameters) => {
              isLettingGo = true;
              try {
                return inner.lpWSPDuplicateSocket(...parameters);
              } finally {
                isLettingGo = false;
              }
            },
          }),
          upcalls: (outer) => ({
            lpWPUCompleteOverlappedRequest: (s, overlapped, error, ...rest) => {
              const told = isLettingGo ? spi.WSA_OPERATION_ABORTED : error;
              return outer.lpWPUCompleteOverlappedRequest(s, overlapped, told, ...rest);
            },
          }),
        };
      }),
    },
    caughtBy: { cases: [`${DUPLICATING}/receives-end-empty`] },
  },
  {
    name: 'duplicate-for-anybody',
    source: 'DUP-11: dwProviderReserved is valid only in the target process',
    change: {
      kind: 'source',
      createProvider: (environment: SanEnvironment) => {
        const own = environment.processId ?? 0;
        return broken(() => ({
          procedures: (inner) => ({
            lpWSPDuplicateSocket: (s, _process, info, errno) =>
              inner.lpWSPDuplicateSocket(s, own, info, errno),
          }),
        }))(createProvider(environment));
      },
    },
    caughtBy: { cases: [`${DUPLICATING}/another-process`] },
  },
  {
    name: 'duplicate-closes-the-old',
    source: 'DUP-17: the old descriptor is valid until WSPCloseSocket of it',
    change: {
      kind: 'provider',
      wrap: broken(() => ({
        procedures: (inner) => ({
          lpWSPDuplicateSocket: (s, ...rest) => {
            const returned = inner.lpWSPDuplicateSocket(s, ...rest);
            if (returned === 0) inner.lpWSPCloseSocket(s, spi.ref(0));
            return returned;
          },
        }),
      })),
    },
    caughtBy: { cases: [`${DUPLICATING}/old-descriptor-stays`] },
  },
  {
    name: 'duplicate-without-connection',
    source: 'DUP-18: what is not connected cannot be handed over',
    change: {
      kind: 'provider',
      wrap: broken(() => ({
        procedures: (inner) => ({
          lpWSPDuplicateSocket: (s, process, info, errno) => {
            const returned = inner.lpWSPDuplicateSocket(s, process, info, errno);
            if (returned === 0 || errno.value !== spi.WSAENOTCONN || info === null) return returned;
            info.dwProviderReserved = 77;
            return 0;
          },
        }),
      })),
    },
    caughtBy: { cases: ['calls-in-every-state/WSPDuplicateSocket-bound'] },
  },
];
