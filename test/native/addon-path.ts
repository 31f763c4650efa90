// Where the compiled addon lies, for workers and children that load it bare.

import { fileURLToPath } from 'node:url';

const variant = process.env['WSD_NATIVE_BUILD'] === 'Sanitize' ? 'Sanitize' : 'Release';

export const addonPath = fileURLToPath(
  new URL(`../../build/${variant}/winsock_direct.node`, import.meta.url),
);
