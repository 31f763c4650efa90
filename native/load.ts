// Loads the addon, once per thread. It must not know what the functions are for. The compiled
// file lies in build/ of the package, which is one directory up from the sources and two up from
// dist/.

import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import type { NativeBinding } from './binding.js';

/**
 * Which build to load: 'Release', or 'Sanitize' when scripts/native-sanitize.mjs runs the tests.
 */
const variant = process.env['WSD_NATIVE_BUILD'] === 'Sanitize' ? 'Sanitize' : 'Release';

function load(): NativeBinding {
  const relative = `build/${variant}/winsock_direct.node`;
  const candidates = [`../${relative}`, `../../${relative}`].map((one) =>
    fileURLToPath(new URL(one, import.meta.url)),
  );
  const found = candidates.find((one) => existsSync(one));
  if (found === undefined) {
    throw new Error(
      `The native addon (${relative}) is not built: run "npm install" or "npm start" first.`,
    );
  }
  return createRequire(import.meta.url)(found) as NativeBinding;
}

/** The addon. Usable on every thread that imports this module. */
export const native: NativeBinding = load();
