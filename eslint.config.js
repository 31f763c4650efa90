// What the compiler does not refuse and we do: floating promises and other typed mistakes, ambient
// time and randomness below the composition root, raw shared memory outside native/, focused tests.
// Layout is the formatter's business; the direction of imports is dependency-cruiser's.

import tseslint from 'typescript-eslint';

const TIMERS = ['setTimeout', 'setInterval', 'setImmediate', 'performance'];
const CLOCKED =
  'A layer is handed its clock and its waits (runtime/clock.ts, runtime/progress.ts).';
const SEEDED = 'Randomness is seeded: use runtime/prng.ts.';
const RAW = 'Raw shared bytes are touched in native/ only.';

const timeProperties = [
  { object: 'Date', property: 'now', message: CLOCKED },
  { object: 'process', property: 'hrtime', message: CLOCKED },
];
const randomProperty = { object: 'Math', property: 'random', message: SEEDED };

const timeGlobals = TIMERS.map((name) => ({ name, message: CLOCKED }));
const rawGlobals = ['Atomics', 'SharedArrayBuffer'].map((name) => ({ name, message: RAW }));
const dataView = { name: 'DataView', message: RAW };

const timeImports = ['timers', 'timers/promises', 'perf_hooks'].flatMap((name) => [
  { name, message: CLOCKED },
  { name: `node:${name}`, message: CLOCKED },
]);
const currentDate = {
  selector: 'NewExpression[callee.name="Date"][arguments.length=0]',
  message: CLOCKED,
};
const focusedTest = {
  selector:
    'MemberExpression[object.name=/^(it|test|describe)$/][property.name=/^(only|skip|todo)$/]',
  message: 'Every test runs, every time.',
};

// A later block replaces a rule of an earlier one, so each names the whole list that holds for it.
const restrict = (globals, properties, syntax = []) => ({
  'no-restricted-globals': ['error', ...globals],
  'no-restricted-properties': ['error', ...properties],
  'no-restricted-syntax': ['error', ...syntax],
});

export default tseslint.config(
  { ignores: ['dist/', 'build/', 'coverage/', '.setup/', 'node_modules/'] },
  {
    files: ['**/*.ts'],
    extends: [tseslint.configs.strictTypeChecked],
    languageOptions: {
      parserOptions: {
        projectService: { allowDefaultProject: ['vitest.config.ts'] },
        tsconfigRootDir: import.meta.dirname,
      },
    },
    linterOptions: { reportUnusedDisableDirectives: 'error' },
    rules: {
      eqeqeq: 'error',
      'max-lines-per-function': ['error', { max: 70, skipBlankLines: true, skipComments: true }],
      '@typescript-eslint/consistent-type-imports': 'error',
      '@typescript-eslint/restrict-template-expressions': [
        'error',
        { allowNumber: true, allowBoolean: true },
      ],
      // `return close()` in a function that returns nothing reads well.
      '@typescript-eslint/no-confusing-void-expression': 'off',
      // State changes behind calls, and bounds are asserted on constants: the rule takes both for idle.
      '@typescript-eslint/no-unnecessary-condition': 'off',
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_' }],
      '@typescript-eslint/switch-exhaustiveness-check': [
        'error',
        { considerDefaultExhaustiveForUnions: true },
      ],
      // An async function without an await still turns what it throws into a rejection.
      '@typescript-eslint/require-await': 'off',
      ...restrict([...rawGlobals, dataView], [randomProperty]),
    },
  },
  {
    files: ['runtime/**/*.ts', 'provider/**/*.ts', 'switch/**/*.ts'],
    rules: {
      ...restrict(
        [...timeGlobals, ...rawGlobals, dataView],
        [randomProperty, ...timeProperties],
        [currentDate],
      ),
      'no-restricted-imports': ['error', { paths: timeImports }],
    },
  },
  {
    // Codecs of private bytes.
    files: ['provider/spi/**/*.ts'],
    rules: restrict(
      [...timeGlobals, ...rawGlobals],
      [randomProperty, ...timeProperties],
      [currentDate],
    ),
  },
  {
    files: ['native/**/*.ts'],
    rules: {
      ...restrict(timeGlobals, [randomProperty, ...timeProperties], [currentDate]),
      'no-restricted-imports': ['error', { paths: timeImports }],
      '@typescript-eslint/no-non-null-assertion': 'off',
    },
  },
  {
    // The one place that reads the machine's clock.
    files: ['runtime/clock.ts'],
    rules: restrict([...rawGlobals, dataView], [randomProperty]),
  },
  {
    files: ['test/**/*.ts'],
    rules: {
      ...restrict(rawGlobals, [randomProperty], [focusedTest]),
      // A describe block is a list of tests, not one function to hold in mind.
      'max-lines-per-function': 'off',
    },
  },
  {
    files: ['test/native/**/*.ts'],
    rules: restrict([], [randomProperty], [focusedTest]),
  },
  {
    // Plain scripts, outside the compiler's program.
    files: ['**/*.{js,mjs,cjs}'],
    extends: [tseslint.configs.base],
    rules: {
      eqeqeq: 'error',
      'no-unused-vars': 'error',
      'prefer-const': 'error',
      'no-var': 'error',
    },
  },
);
