// The layers, as rules: imports go down only (docs/ARCHITECTURE.md). Each layer lists what it may
// import; anything else of ours is an error, type imports included. scripts/layers.ts runs this and
// makes sure that it really saw modules in every layer.

/** Path pattern of each layer. */
const LAYERS = {
  runtime: '^runtime/',
  native: '^native/',
  nic: '^provider/nic/',
  spi: '^provider/spi/',
  san: '^provider/san/',
  tcpip: '^provider/tcpip/',
  hooks: '^provider/hooks/',
  session: '^switch/session/',
  switch: '^switch/(?!session/)',
};

/** What each layer may import besides itself. */
const MAY_IMPORT = {
  runtime: [],
  native: ['runtime'],
  nic: ['native', 'runtime'],
  spi: ['runtime'],
  san: ['spi', 'nic', 'runtime'],
  tcpip: ['spi', 'native', 'runtime'],
  hooks: ['spi', 'runtime'],
  session: ['runtime'],
  switch: ['session', 'spi', 'runtime'],
};

/** Single files open to a layer beyond its list. */
const ALSO = { session: ['^provider/spi/error-codes[.]ts$'] };

const PUBLISHED = ['^index[.]ts$', '^provider/(spi|nic|hooks)/index[.]ts$'];
const OUTSIDE = ['^node_modules/', '^(node:)?[a-z_/]+$'];

const layerRules = Object.entries(MAY_IMPORT).map(([layer, below]) => ({
  name: `${layer}-imports-down-only`,
  comment: `${layer} may import ${below.join(', ') || 'nothing of ours'}`,
  severity: 'error',
  from: { path: LAYERS[layer] },
  to: {
    path: '^[^/]+[.]ts$|^(runtime|native|provider|switch|bench|cli|examples|test|scripts)/',
    pathNot: [LAYERS[layer], ...below.map((name) => LAYERS[name]), ...(ALSO[layer] ?? [])],
  },
}));

/** Folders above the composition root, and what they may import besides the published entry points. */
const userRules = [
  { name: 'examples', may: ['^examples/'] },
  // Floors, affinity and the clock are native functions, and nothing a program should have.
  { name: 'bench', may: ['^(bench|cli|runtime)/', '^native/'] },
  { name: 'cli', may: ['^(bench|cli|runtime)/', '^test/(conformance|sim|scripts)/'] },
].map(({ name, may }) => ({
  name: `${name}-uses-published-entry-points`,
  severity: 'error',
  from: { path: `^${name}/` },
  to: {
    pathNot: [...PUBLISHED, ...OUTSIDE, ...may],
    dependencyTypesNot: ['core', 'npm', 'npm-dev'],
  },
}));

module.exports = {
  forbidden: [
    ...layerRules,
    ...userRules,
    {
      name: 'conformance-kit-needs-the-contract-only',
      comment: 'The kit is published: a stranger runs it on a provider of his own.',
      severity: 'error',
      from: { path: '^test/conformance/(?!self/)' },
      to: {
        path: '^[^/]+[.]ts$|^(native|provider|switch|bench|cli|examples|test|scripts)/',
        pathNot: ['^test/conformance/', LAYERS.spi],
      },
    },
    {
      name: 'no-cycles',
      severity: 'error',
      from: {},
      to: { circular: true, viaOnly: { dependencyTypesNot: ['type-only'] } },
    },
    { name: 'everything-resolves', severity: 'error', from: {}, to: { couldNotResolve: true } },
  ],
  options: {
    tsConfig: { fileName: 'tsconfig.json' },
    tsPreCompilationDeps: true,
    doNotFollow: { path: 'node_modules' },
    exclude: { path: '^(dist|build)/' },
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['import', 'node', 'default', 'types'],
    },
  },
};
