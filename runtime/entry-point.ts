// Where the compiled form of a module lies that another thread or process is to start.

import { fileURLToPath } from 'node:url';

/**
 * The file that a new thread or process loads for `relative`, a compiled sibling such as
 * './nic-worker.js'. From compiled code it is that sibling; from TypeScript sources (tests) it is the
 * same module under dist/, because a new thread has no TypeScript loader.
 */
export function entryPoint(importMetaUrl: string, relative: string): string {
  const here = fileURLToPath(new URL(relative, importMetaUrl));
  if (!importMetaUrl.endsWith('.ts')) return here;
  const root = fileURLToPath(new URL('..', import.meta.url));
  return here.startsWith(root) ? `${root}dist/${here.slice(root.length)}` : here;
}
